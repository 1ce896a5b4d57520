import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras import open_camera
from edge_emotion.edge_runtime.cameras.image_folder import ImageFolder
from edge_emotion.edge_runtime.cameras.video_file import VideoFile
from edge_emotion.edge_runtime.errors import DeviceError
from edge_emotion.edge_runtime.preprocess import Image

from ..pan_zoom import write


def levels(count: int) -> Iterator[Image]:
    for index in range(count):
        yield np.full((64, 96, 3), 8 * index, np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "levels.avi"
    assert write(path, levels(20), fps=10) == 20
    return path


def test_a_video_gives_every_frame_in_order_with_its_media_time(video: Path) -> None:
    with open_camera(str(video)) as camera:
        assert isinstance(camera, VideoFile)
        assert not camera.live
        assert camera.fps == 10
        frames = list(iter(camera.read, None))
    assert [frame.index for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 10, atol=1e-6)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], 8 * np.arange(20), atol=3)
    assert frames[0].image.shape == (64, 96, 3)
    assert not any(frame.cut for frame in frames)


def test_a_name_with_a_colon_is_no_protocol(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video.rename(video.with_name("10:30.avi"))
    monkeypatch.chdir(video.parent)
    with VideoFile("10:30.avi") as camera:
        frame = camera.read()
        assert camera.source == "10:30.avi"
    assert frame is not None
    assert frame.time_s == 0


def test_a_cut_off_video_gives_what_it_has_and_says_so(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    write(video, iter([noise] * 20))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with VideoFile(video) as camera:
        count = len(list(iter(camera.read, None)))
    assert 0 < count < 20
    assert f"ends after {count} of 20 frames" in capsys.readouterr().err


def test_a_whole_video_ends_in_silence(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VideoFile(video) as camera:
        list(iter(camera.read, None))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.mp4", None, "does not exist"),
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"I am no video at all" * 99, "not a video"),
        ("no-suffix", b"I am no video either", "not a video"),
    ],
)
def test_what_is_no_video_says_so(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DeviceError, match=message):
        open_camera(str(tmp_path / name))


def test_a_header_without_frames_is_no_empty_result(video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(DeviceError, match=r"no frame|not a video"), VideoFile(video) as camera:
        camera.read()


def test_a_folder_gives_its_pictures_by_name_each_a_cut(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.png", 10), ("c.bmp", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((10, 12), level, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_camera(str(tmp_path)) as camera:
        frames = list(iter(camera.read, None))
    assert [Path(frame.name).name for frame in frames] == ["a.png", "b.png", "c.bmp"]
    assert [frame.image[0, 0, 0] for frame in frames] == [10, 20, 30]
    assert [(frame.index, frame.time_s, frame.cut) for frame in frames] == [(0, 0, True), (1, 1, True), (2, 2, True)]


def test_a_name_that_is_not_utf_8_is_shown_with_escapes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes())
    with open_camera(str(tmp_path)) as camera:
        (frame,) = iter(camera.read, None)
    assert Path(frame.name).name == r"caf\udce9.png"


def test_a_video_whose_name_is_not_utf_8_is_refused(video: Path) -> None:
    odd = video.rename(video.with_name(os.fsdecode(b"caf\xe9.avi")))
    with pytest.raises(DeviceError, match=r"caf\\udce9\.avi is not UTF-8"):
        open_camera(str(odd))


def test_one_picture_is_a_folder_of_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((10, 12), np.uint8))
    with open_camera(str(tmp_path / "a.png")) as camera:
        assert isinstance(camera, ImageFolder)
        assert camera.read() is not None
        assert camera.read() is None


def test_unreadable_pictures_are_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((10, 12), np.uint8))
    with open_camera(str(tmp_path)) as camera:
        (frame,) = iter(camera.read, None)
    assert Path(frame.name).name == "b.png"
    assert frame.index == 0
    assert "a.jpg is empty" in capsys.readouterr().err


def test_what_a_folder_holds_that_is_not_read_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1.HEIC", "2.heic", "notes.txt", ".hidden"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DeviceError, match=r"holds no pictures \(.*\); not used: 2 \.heic files, 1 \.txt file$"):
        open_camera(str(tmp_path))
    content = cv2.imencode(".jpg", np.zeros((10, 12), np.uint8))[1].tobytes()
    (tmp_path / "a.jfif").write_bytes(content)
    with open_camera(str(tmp_path)) as camera:
        assert camera.read() is not None
    assert capsys.readouterr().err == f"{tmp_path}: not used: 2 .heic files, 1 .txt file\n"


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".avif"])
def test_a_phones_picture_that_cannot_be_read_is_told_as_a_picture(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\0\0\0\x18ftypnone")
    with pytest.raises(DeviceError, match="none of the 1 pictures"), open_camera(str(path)) as camera:
        camera.read()
    assert "save it as JPEG or PNG" in capsys.readouterr().err


def test_folders_without_a_readable_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="holds no pictures"):
        open_camera(str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DeviceError, match="none of the 1 pictures"), open_camera(str(tmp_path)) as camera:
        camera.read()
