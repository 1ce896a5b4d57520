import csv as csv_module
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import DeviceError, OptionError, OutputError
from edge_emotion.edge_runtime.outputs import aggregate, csv, video
from edge_emotion.edge_runtime.outputs.aggregate import Aggregate
from edge_emotion.edge_runtime.outputs.choice import open_outputs
from edge_emotion.edge_runtime.outputs.jsonl import JsonLines
from edge_emotion.edge_runtime.outputs.record_file import RecordFile
from edge_emotion.edge_runtime.outputs.video import AnnotatedVideo
from edge_emotion.edge_runtime.outputs.window import Window
from edge_emotion.edge_runtime.preprocess import Image
from edge_emotion.edge_runtime.run_config import RunConfig

from ..fakes import face, result

NOON = "2026-05-04T12:00:00.000+00:00"
LABELS = ("happy", "neutral", "sad")


def csv_file(path: Path, columns: Sequence[str] = csv.FACE, labels: Sequence[str] = LABELS, **how: int) -> csv.Csv:
    return csv.Csv(RecordFile(str(path), header=csv.header(columns, labels), **how), columns, labels)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_each_line_is_on_disk_when_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "new" / "faces.jsonl"
    with JsonLines(RecordFile(str(path))) as output:
        for frame in range(3):
            output.write(result(frame, face()), None)
            assert len(lines(path)) == frame + 1
    document = json.loads(lines(path)[-1])
    assert set(document) == {"schema_version", "source", "frame", "time_s", "faces", "latency_ms"}
    assert set(document["faces"][0]) == {"id", "box_xywh", "label", "confidence", "state", "probabilities"}


def test_lines_rows_and_aggregates_give_probabilities_with_four_decimals(tmp_path: Path) -> None:
    seen = result(0, face(p=2 / 3))
    with JsonLines(RecordFile(str(tmp_path / "a.jsonl"))) as output, csv_file(tmp_path / "a.csv") as table:
        output.write(seen, None)
        table.write(seen, None)
    with Aggregate(1, JsonLines(RecordFile(str(tmp_path / "people.jsonl"))), "fake") as output:
        output.write(seen, None)
    rounded = {"happy": 0.6667, "neutral": 0.1667, "sad": 0.1667}
    (line,) = (json.loads(line)["faces"][0] for line in lines(tmp_path / "a.jsonl"))
    assert (line["confidence"], line["probabilities"]) == (0.6667, rounded)
    (row,) = csv_module.DictReader(lines(tmp_path / "a.csv"))
    assert [row[name] for name in ("x", "y", "w", "h")] == ["10", "20", "30", "40"]
    assert {name: row[name] for name in ("confidence", *(f"p_{label}" for label in LABELS))} == {
        "confidence": "0.6667",
        **{f"p_{label}": str(p) for label, p in rounded.items()},
    }
    assert json.loads(lines(tmp_path / "people.jsonl")[0])["probabilities"] == rounded


def test_all_lines_have_reached_the_disk_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    file = RecordFile(str(tmp_path / "faces.jsonl"))
    file.append("0123456789\n")
    file.close()
    assert sizes == [11]


def test_a_live_source_says_when_and_a_file_does_not(tmp_path: Path) -> None:
    seen, live = result(0, face()), replace(result(0, face()), time=NOON)
    with JsonLines(RecordFile(str(tmp_path / "faces.jsonl"))) as records, csv_file(tmp_path / "faces.csv") as rows:
        for output in (records, rows):
            output.write(seen, None)
            output.write(live, None)
    assert [json.loads(line).get("time") for line in lines(tmp_path / "faces.jsonl")] == [None, NOON]
    assert [row["time"] for row in csv_module.DictReader(lines(tmp_path / "faces.csv"))] == ["", NOON]


def test_an_aggregate_says_when_its_first_frame_was(tmp_path: Path) -> None:
    times = (NOON, "2026-05-04T12:00:00.500+00:00", "2026-05-04T12:00:01.000+00:00")
    for recorder in (JsonLines(RecordFile(str(tmp_path / "a.jsonl"))), csv_file(tmp_path / "a.csv", aggregate.COLUMNS)):
        with Aggregate(1.0, recorder, "fake") as output:
            for number, time in enumerate(times):
                output.write(replace(result(number, time_s=number / 2), time=time), None)
    assert [json.loads(line)["time"] for line in lines(tmp_path / "a.jsonl")] == [NOON, times[2]]
    assert [row["time"] for row in csv_module.DictReader(lines(tmp_path / "a.csv"))] == [NOON, times[2]]


def test_a_second_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    for _ in range(2):
        with csv_file(path) as output:
            output.write(result(0, face(1), face(2)), None)
            output.write(result(1), None)
    rows = list(csv_module.DictReader(lines(path)))
    assert [row["id"] for row in rows] == ["1", "2", "1", "2"]
    assert rows[0]["label"] == "happy"
    assert float(rows[0]["p_happy"]) == 0.75
    assert [rows[0][key] for key in "xywh"] == ["10", "20", "30", "40"]


def test_rotation_keeps_the_newest_whole_lines_and_each_csv_has_its_header(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    with csv_file(path, rotate_bytes=400, keep=2) as output:
        for frame in range(40):
            output.write(result(frame, face()), None)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["faces.csv", "faces.csv.1", "faces.csv.2"]
    frames = []
    for name in ("faces.csv.2", "faces.csv.1", "faces.csv"):
        rows = list(csv_module.DictReader(lines(tmp_path / name)))
        assert (tmp_path / name).stat().st_size <= 400
        frames += [int(row["frame"]) for row in rows]
    assert frames == list(range(frames[0], 40))


def test_a_line_longer_than_the_limit_is_still_written(tmp_path: Path) -> None:
    file = RecordFile(str(tmp_path / "a.jsonl"), rotate_bytes=10, keep=3)
    for letter in "abc":
        file.append(letter * 50 + "\n")
    file.close()
    assert [lines(tmp_path / name) for name in ("a.jsonl.2", "a.jsonl.1", "a.jsonl")] == [
        ["a" * 50],
        ["b" * 50],
        ["c" * 50],
    ]


@pytest.mark.parametrize("what", ["removed", "moved", "replaced", "its folder removed"])
def test_a_file_that_is_taken_away_is_begun_anew_at_the_next_rotation(tmp_path: Path, what: str) -> None:
    path = tmp_path / "logs" / "faces.csv"
    file = RecordFile(str(path), header="number\n", rotate_bytes=20, keep=3)
    for number in range(8):  # six rows a file: one rotation
        file.append(f"{number}\n")
    rotated = path.with_name("faces.csv.1")
    before = rotated.read_text()
    if what == "its folder removed":
        shutil.rmtree(path.parent)
    elif what == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "elsewhere.csv")
    if what == "replaced":
        path.write_text("number\n")
    for number in range(8, 14):
        file.append(f"{number}\n")
    file.close()
    assert (lines(path)[0], lines(path)[-1]) == ("number", "13")
    if what != "its folder removed":
        assert rotated.read_text() == before
        assert not path.with_name("faces.csv.2").exists()


def test_a_rotation_that_is_refused_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "faces.jsonl"
    file = RecordFile(str(path), rotate_bytes=10, keep=1)
    file.append("0123456789\n")
    path.with_name("faces.jsonl.1").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*faces\.jsonl"):
        file.append("0123456789\n")
    assert lines(path) == ["0123456789"]


def test_a_dash_is_stdout_and_stays_open(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonLines(RecordFile("-")) as output:
        output.write(result(0), None)
    print("still open")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["frame"] == 0
    assert second == "still open"


def test_a_table_on_stdout_has_one_header(capsys: pytest.CaptureFixture[str]) -> None:
    header = csv.header(csv.FACE, LABELS)
    with csv.Csv(RecordFile("-", header=header), csv.FACE, LABELS) as output:
        for frame in range(2):
            output.write(result(frame, face()), None)
    first, *rows = capsys.readouterr().out.splitlines(keepends=True)
    assert first == header
    assert [row.split(",")[1] for row in rows] == ["0", "1"]


def test_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file" / "x.jsonl"):
        with pytest.raises(OutputError, match="cannot write"):
            RecordFile(str(target))


def test_a_full_disk_is_one_clear_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("hardware: this system has no /dev/full")
    file = RecordFile(str(full))
    with pytest.raises(OutputError, match="No space left on device"):
        file.append("x\n")
    file.close()


def test_an_aggregate_holds_counts_and_means_and_no_single_face(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    with Aggregate(1.0, JsonLines(RecordFile(str(path))), "fake") as output:
        for frame in range(60):  # 2.4 s at 25 a second
            faces = [face(1, "happy", 0.9), face(2, "sad", 0.6)] if frame < 25 else []
            output.write(result(frame, *faces), None)
    first, second, third = (json.loads(line) for line in lines(path))
    assert (first["from_s"], first["until_s"], first["frames"]) == (0.0, 1.0, 25)
    assert (first["mean_faces"], first["most_faces"]) == (2.0, 2)
    assert first["probabilities"] == pytest.approx({"happy": 0.55, "neutral": 0.125, "sad": 0.325})
    assert (second["mean_faces"], second["probabilities"]) == (0.0, {})
    assert (third["from_s"], third["until_s"], third["frames"]) == (2.0, 2.36, 10)
    text = path.read_text()
    assert all(word not in text for word in ('"id"', "box", '"faces"', "confidence"))


def test_an_aggregate_of_a_folder_names_no_picture_and_is_one(tmp_path: Path) -> None:
    folder, path = str(tmp_path / "photos"), tmp_path / "people.jsonl"
    Path(folder).mkdir()
    (output,) = open_outputs(RunConfig(folder, jsonl=str(path), aggregate=1))
    with output:
        for number, name in enumerate(("ann.png", "bob.png", "eve.png")):
            output.write(replace(result(number, face(), time_s=number), source=f"{folder}/{name}"), None)
    (document,) = (json.loads(line) for line in lines(path))
    assert (document["source"], document["frames"], document["mean_faces"]) == (folder, 3, 1.0)


def test_an_aggregate_of_a_camera_shows_no_password_and_goes_by_its_clock(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    (output,) = open_outputs(RunConfig("rtsp://me:secret@camera/live", jsonl=str(path), aggregate=1))
    with output:
        for number in range(3):
            output.write(replace(result(number, time_s=number), source="rtsp://camera/live"), None)
    assert [json.loads(line)["source"] for line in lines(path)] == ["rtsp://camera/live"] * 3


def test_an_interval_without_frames_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    with Aggregate(10, csv_file(path, aggregate.COLUMNS), "fake") as output:
        output.write(result(0, face(), time_s=1), None)
        output.write(result(1, face(), time_s=95), None)
    rows = list(csv_module.DictReader(lines(path)))
    assert [row["from_s"] for row in rows] == ["0", "90"]
    assert rows[0]["p_happy"] == "0.75"


def test_every_row_has_the_columns_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    with Aggregate(1, csv_file(path, aggregate.COLUMNS), "fake") as output:
        output.write(result(0, time_s=0.5), None)  # nobody yet
        output.write(result(1, face(), time_s=1.5), None)
    first, second = csv_module.DictReader(lines(path))
    assert (first["mean_faces"], first["p_happy"], first["p_sad"]) == ("0.0", "", "")
    assert (second["p_happy"], second["p_sad"]) == ("0.75", "0.125")
    assert all(None not in row and None not in row.values() for row in (first, second))


@pytest.mark.parametrize(
    ("columns", "labels"), [(csv.FACE, ("happy", "sad")), (csv.FACE, LABELS[::-1]), (aggregate.COLUMNS, LABELS)]
)
def test_a_file_with_other_columns_is_refused_and_stays(
    tmp_path: Path, columns: Sequence[str], labels: Sequence[str]
) -> None:
    path = tmp_path / "faces.csv"
    with csv_file(path) as output:
        output.write(result(0, face()), None)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"faces\.csv has other columns"):
        csv_file(path, columns, labels)
    assert path.read_bytes() == before


def test_a_line_that_was_cut_off_swallows_no_other(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    path.write_text('{"frame":1}\n{"fra')
    with JsonLines(RecordFile(str(path))) as output:
        output.record({"frame": 2})
    assert lines(path) == ['{"frame":1}', '{"fra', '{"frame":2}']


def test_a_disk_that_fills_up_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    program = (
        "import resource, sys\n"
        "from edge_emotion.edge_runtime.outputs.record_file import RecordFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))\n"  # Python ignores SIGXFSZ: a short write, as with ENOSPC
        "file = RecordFile(sys.argv[1])\n"
        "for _ in range(3): file.append('0123456789\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("the disk is full")
    assert path.read_text() == 2 * "0123456789\n"


def picture(level: int = 0, size_wh: tuple[int, int] = (160, 120)) -> Image:
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def read_back(path: Path) -> tuple[list[Image], float]:
    reader = cv2.VideoCapture(str(path))
    pictures: list[Image] = []
    while True:
        found, image = reader.read()
        if not found:
            return pictures, reader.get(cv2.CAP_PROP_FPS)
        pictures.append(np.asarray(image, np.uint8))


@pytest.mark.parametrize(("frames", "fps"), [(1, 25), (5, 10), (30, 10)])
def test_a_video_has_every_frame_at_the_sources_rate_with_faces_drawn(tmp_path: Path, frames: int, fps: int) -> None:
    path = tmp_path / "out.avi"
    with AnnotatedVideo(path) as output:
        for frame in range(frames):
            output.write(result(frame, face(), time_s=frame / fps), picture())
    pictures, rate = read_back(path)
    assert len(pictures) == frames
    assert rate == pytest.approx(fps, rel=0.01)
    assert pictures[0].max() > 150


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".mov"])
def test_a_video_takes_any_frame_rate(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with AnnotatedVideo(path) as output:
        for frame in range(10):
            output.write(result(frame, time_s=frame / 93.4731), picture())
    pictures, rate = read_back(path)
    assert len(pictures) == 10
    assert rate == pytest.approx(93.47, rel=0.02)


def test_a_video_stays_in_time_when_the_camera_stutters(tmp_path: Path) -> None:
    times = [*np.arange(20) / 10, *(np.arange(20) / 10 + 3.0)]
    with AnnotatedVideo(tmp_path / "out.avi") as output:
        for frame, time_s in enumerate(times):
            output.write(result(frame, time_s=float(time_s)), picture())
    pictures, rate = read_back(tmp_path / "out.avi")
    assert len(pictures) / rate == pytest.approx(5.0, abs=0.3)  # 2 s, a second of nothing, 2 s


def test_a_stream_that_begins_with_a_burst_has_the_rate_that_follows(tmp_path: Path) -> None:
    times = [*np.arange(8) * 0.006, *(0.05 + np.arange(45) / 15)]
    with AnnotatedVideo(tmp_path / "out.avi") as output:
        for frame, time_s in enumerate(times):
            output.write(result(frame, time_s=float(time_s)), picture())
    assert read_back(tmp_path / "out.avi")[1] == pytest.approx(15, rel=0.01)


def test_few_large_pictures_are_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "LOOK_AHEAD_BYTES", 8 * picture().nbytes)
    with AnnotatedVideo(tmp_path / "out.avi") as output:
        for frame in range(8):
            assert len(output._held) == frame
            output.write(result(frame, time_s=frame / 100), picture())
        assert output._held == []


def test_a_long_pause_of_the_camera_is_cut_out(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "out.avi") as output:
        for frame in range(20):
            output.write(result(frame, time_s=frame / 10 + (60 if frame >= 10 else 0)), picture())
    assert len(read_back(tmp_path / "out.avi")[0]) == 20


def test_pictures_of_other_sizes_are_fitted_into_the_middle(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "out.avi") as output:
        for frame, size in enumerate([(160, 120), (320, 100), (50, 300)]):
            output.write(result(frame, time_s=float(frame)), picture(200, size))
    pictures, _ = read_back(tmp_path / "out.avi")
    assert {p.shape for p in pictures} == {(120, 160, 3)}
    for shown, (left, top, right, bottom) in zip(
        pictures, [(0, 0, 159, 119), (0, 35, 159, 84), (70, 0, 89, 119)], strict=True
    ):
        y, x = np.nonzero(shown[:, :, 0] > 100)
        assert [x.min(), y.min(), x.max(), y.max()] == pytest.approx([left, top, right, bottom], abs=1)


def record_until_full(path: Path, seconds: float) -> list[str]:
    """Files are limited to 64 KiB, at which writing stops as on a full disk: the last lines on stderr."""
    program = (
        "import resource, sys, pathlib, numpy as np\n"
        "from edge_emotion.edge_runtime.outputs.video import AnnotatedVideo\n"
        "from edge_emotion.edge_runtime.results import FrameResult\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"  # Python ignores SIGXFSZ
        "video = AnnotatedVideo(pathlib.Path(sys.argv[1]))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)\n"
        "for i in range(int(float(sys.argv[2]) * 25)): video.write(FrameResult('x', i, i / 25, (), {}), noise)\n"
        "print('closing', file=sys.stderr)\n"
        "video.close()\n"
    )
    command = [sys.executable, "-c", program, str(path), str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_video_on_a_full_disk_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    while_writing = record_until_full(path, 5.0)
    assert while_writing[-1].endswith("the disk is full, and the end of the video is missing")
    assert "closing" not in while_writing
    at_the_end = record_until_full(path, 1.5)
    assert "closing" in at_the_end
    assert at_the_end[-1].endswith("the disk is full, and the end of the video is missing")


def test_a_video_without_frames_leaves_no_file_and_bad_targets_are_refused(tmp_path: Path) -> None:
    AnnotatedVideo(tmp_path / "out.mp4").close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OptionError, match=r"\.avi, \.mkv, \.mov, \.mp4"):
        AnnotatedVideo(tmp_path / "out.gif")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        AnnotatedVideo(tmp_path / "file" / "out.avi")
    (tmp_path / "folder.avi").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        AnnotatedVideo(tmp_path / "folder.avi")


def test_a_video_whose_name_has_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with AnnotatedVideo(Path("10:30.mp4")) as output:
        output.write(result(0), picture())
    assert len(read_back(tmp_path / "10:30.mp4")[0]) == 1


def test_an_encoder_that_does_not_begin_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video.CODECS, ".mp4", "none")
    output = AnnotatedVideo(tmp_path / "out.mp4")
    output.write(result(0), picture())
    with pytest.raises(OutputError, match=r"cannot encode \.mp4: try \.avi"):
        output.close()
    output.close()
    assert not (tmp_path / "out.mp4").exists()


def test_an_earlier_video_is_kept_and_the_new_ones_are_numbered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "door.avi"
    path.write_bytes(b"an old video")
    AnnotatedVideo(path).close()
    assert [p.name for p in tmp_path.iterdir()] == ["door.avi"]
    capsys.readouterr()
    for number in (1, 2):
        with AnnotatedVideo(path) as output:
            for frame in range(number):
                output.write(result(frame, time_s=frame / 10), picture())
        new = tmp_path / f"door-{number}.avi"
        assert capsys.readouterr().err == f"{path} is kept: this video goes to {new}\n"
        assert len(read_back(new)[0]) == number
    assert path.read_bytes() == b"an old video"


def test_a_window_needs_a_screen_and_an_opencv_with_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(DeviceError, match="DISPLAY is not set"):
        Window()
    monkeypatch.setenv("DISPLAY", ":0")

    def headless(*_: object) -> None:
        raise cv2.error("The function is not implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support.")

    monkeypatch.setattr(cv2, "namedWindow", headless)
    with pytest.raises(DeviceError, match="headless"):
        Window()
