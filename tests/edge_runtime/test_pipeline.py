import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import EmotionClassifier, ModelMetadata, Pipeline
from edge_emotion.edge_runtime import metadata as model_metadata
from edge_emotion.edge_runtime.cameras import Frame
from edge_emotion.edge_runtime.errors import DeviceError, ModelError, OptionError
from edge_emotion.edge_runtime.faces import Face
from edge_emotion.edge_runtime.faces.whole import WholeImage
from edge_emotion.edge_runtime.metadata import InputSpec
from edge_emotion.edge_runtime.outputs import Output
from edge_emotion.edge_runtime.outputs.output import ViewerClosed
from edge_emotion.edge_runtime.playback import Playback
from edge_emotion.edge_runtime.preprocess import Image
from edge_emotion.edge_runtime.results import FrameResult
from edge_emotion.edge_runtime.run_config import RunConfig
from edge_emotion.edge_runtime.smoothing import Smoothing

from .fakes import FakeCamera, FakeDetector, Kept, grey_frames
from .pan_zoom import write

MODEL = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"
DARK, BRIGHT = 0, 255
FACE = Face((20, 20, 40, 40))


def pipeline(frames: list[Frame], *faces: list[Face], **options: object) -> Pipeline:
    detector = FakeDetector(*(faces or ([FACE],)))
    return Pipeline(FakeCamera(frames), detector, EmotionClassifier(MODEL), **options)  # type: ignore[arg-type]


def test_each_frame_gives_one_result_in_order() -> None:
    with pipeline(grey_frames([DARK] * 5)) as running:
        results = list(running)
    assert [r.frame for r in results] == [0, 1, 2, 3, 4]
    assert [r.time_s for r in results] == [0.0, 0.04, 0.08, 0.12, 0.16]
    assert {face.id for r in results for face in r.faces} == {1}
    (face,) = results[-1].faces
    assert face.label == face.raw_label == "dark"
    assert face.box_xywh == (20, 20, 40, 40)
    assert sum(face.probabilities.values()) == pytest.approx(1)
    assert set(results[0].latency_ms) == {"capture", "detect", "preprocess", "classify", "track", "total"}
    assert results[0].latency_ms["total"] >= results[0].latency_ms["classify"] > 0


def test_a_source_without_frames_and_frames_without_faces_are_fine() -> None:
    with pipeline([]) as running:
        assert list(running) == []
    with pipeline(grey_frames([DARK] * 3), []) as running:
        assert [r.faces for r in running] == [(), (), ()]


def test_a_label_is_smoothed_in_media_time() -> None:
    levels = [BRIGHT] * 10 + [DARK] + [BRIGHT] * 10
    with pipeline(grey_frames(levels), smoothing=Smoothing(0.5)) as running:
        results = list(running)
    assert results[10].faces[0].raw_label == "dark"
    assert {r.faces[0].label for r in results} == {"bright"}
    with pipeline(grey_frames(levels), smoothing=Smoothing(0)) as running:
        assert list(running)[10].faces[0].label == "dark"


def test_a_cut_forgets_ids_and_smoothing() -> None:
    first, second = grey_frames([BRIGHT, DARK])
    cut = Frame(second.image, 1, second.time_s, name="b.jpg", cut=True)
    with pipeline([first, cut], smoothing=Smoothing(60)) as running:
        before, after = running
    assert [before.faces[0].id, after.faces[0].id] == [1, 2]
    assert after.faces[0].label == "dark"
    assert (before.source, after.source) == ("fake", "b.jpg")


def test_a_picture_that_is_the_face_is_classified_whole() -> None:
    halves = np.full((96, 96, 3), DARK, np.uint8)
    halves[:, 48:] = BRIGHT
    with pipeline([Frame(halves, 0, 0.0)], [Face((0, 0, 96, 96))]) as whole:
        assert next(iter(whole)).faces[0].raw_label == "grey"
    with pipeline([Frame(halves, 0, 0.0)], [Face((0, 0, 40, 40))]) as part:
        assert next(iter(part)).faces[0].raw_label == "dark"


@pytest.mark.parametrize(("margin", "label"), [(0.0, "dark"), (1.0, "bright")])
def test_the_face_is_cropped_with_the_margin_of_the_model(margin: float, label: str) -> None:
    spot = np.full((96, 96, 3), BRIGHT, np.uint8)
    spot[38:58, 38:58] = DARK
    known = model_metadata.read(MODEL)
    assert known is not None
    classifier = EmotionClassifier(MODEL, metadata=replace(known, crop_margin=margin))
    detector = FakeDetector([Face((38, 38, 20, 20))])
    with Pipeline(FakeCamera([Frame(spot, 0, 0.0)]), detector, classifier) as running:
        assert next(iter(running)).faces[0].raw_label == label


def test_between_searches_faces_are_followed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    frames = [Frame(np.roll(noise, 2 * i, axis=1), i, i / 25) for i in range(9)]
    detector = FakeDetector([Face((60, 60, 60, 60))], [Face((72, 60, 60, 60))], [])
    with Pipeline(FakeCamera(frames), detector, EmotionClassifier(MODEL), detect_every=3) as running:
        results = list(running)
    assert detector.asked == 3
    assert [r.faces[0].box_xywh[0] for r in results[:6]] == pytest.approx([60, 62, 64, 72, 74, 76], abs=1)
    assert {r.faces[0].id for r in results[:6]} == {1}
    assert all(r.faces == () for r in results[6:])


def test_slow_motion_between_searches_is_not_lost() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)
    picture = cv2.resize(noise, (200, 200), interpolation=cv2.INTER_CUBIC)
    shifts = [np.array([[1, 0, 0.25 * i], [0, 1, 0]], np.float64) for i in range(31)]
    frames = [
        Frame(np.asarray(cv2.warpAffine(picture, shift, (200, 200)), np.uint8), i, i / 25)
        for i, shift in enumerate(shifts)
    ]
    detector = FakeDetector([Face((60, 60, 60, 60))])
    with Pipeline(FakeCamera(frames), detector, EmotionClassifier(MODEL), detect_every=40) as running:
        (face,) = list(running)[-1].faces
    assert face.box_xywh == pytest.approx((67.5, 60, 60, 60), abs=1.5)


def test_a_cut_is_searched_at_once() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    frames = [Frame(noise, i, i / 25, cut=i == 3) for i in range(6)]
    detector = FakeDetector([FACE], [Face((100, 90, 60, 60))])
    with Pipeline(FakeCamera(frames), detector, EmotionClassifier(MODEL), detect_every=10) as running:
        boxes = [result.faces[0].box_xywh for result in running]
    assert detector.asked == 2
    assert boxes == [FACE.box_xywh] * 3 + [(100, 90, 60, 60)] * 3


@pytest.mark.parametrize(
    ("live", "stride", "every", "asked"), [(True, 1, 3, 3), (True, 2, 3, 3), (False, 1, 1, 9), (False, 2, 2, 5)]
)
def test_a_live_camera_is_searched_as_its_frame_time_allows_and_a_file_at_the_detectors_stride(
    monkeypatch: pytest.MonkeyPatch, live: bool, stride: int, every: int, asked: int
) -> None:
    clock = [0.0]

    class Slow(FakeDetector):
        def detect(self, image: Image) -> list[Face]:
            clock[0] += 0.1  # of the 0.04 s from frame to frame
            return super().detect(image)

    monkeypatch.setattr("edge_emotion.edge_runtime.pipeline.perf_counter", lambda: clock[0])
    detector = Slow([FACE])
    detector.stride = stride
    camera = FakeCamera(grey_frames([DARK] * 9), live=live)
    with Pipeline(camera, detector, EmotionClassifier(MODEL), detect_every="auto") as running:
        assert {result.time is not None for result in running} == {live}
    assert running.pace.every == every
    assert detector.asked == asked


def test_what_was_known_of_a_face_that_is_gone_is_dropped() -> None:
    with pipeline(grey_frames([DARK] * 4, fps=0.5), [FACE], [], [], [FACE]) as running:
        assert [[face.id for face in result.faces] for result in running] == [[1], [], [], [2]]
    assert list(running._labels) == [2]


def test_the_whole_picture_is_never_followed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    frames = [Frame(np.roll(noise, 2 * i, axis=1), i, i / 25) for i in range(6)]
    with Pipeline(FakeCamera(frames), WholeImage(), EmotionClassifier(MODEL), detect_every=10) as running:
        assert {face.box_xywh for result in running for face in result.faces} == {(0, 0, 96, 96)}


def test_max_frames_and_stop_end_it() -> None:
    with pipeline(grey_frames([DARK] * 9), max_frames=4) as running:
        assert len(list(running)) == 4
    with pipeline(grey_frames([DARK] * 9)) as running:
        seen = 0
        for _ in running:
            seen += 1
            if seen == 2:
                running.stop()
    assert seen == 2
    assert running.camera.stopped == 1  # type: ignore[attr-defined]


def test_outputs_get_every_result_and_the_picture_only_when_one_needs_it() -> None:
    blind, seeing = Kept(), Kept(needs_image=True)
    frames = grey_frames([DARK, BRIGHT])
    with pipeline(list(frames), outputs=[blind]) as running:
        results = list(running)
    assert blind.results == results
    assert blind.images == [None, None]
    assert blind.closed == 1
    with pipeline(list(frames), outputs=[seeing]) as running:
        list(running)
    assert seeing.images[1] is frames[1].image


def test_an_output_gets_colour_where_the_classifier_gets_grey() -> None:
    colour = np.zeros((96, 96, 3), np.uint8)
    kept = Kept(needs_image=True)
    with pipeline([Frame(np.zeros((96, 96), np.uint8), 0, 0.0, colour)], outputs=[kept]) as running:
        list(running)
    assert kept.images[0] is colour


class Failing(Output):
    needs_image = False

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, result: FrameResult, image: Image | None) -> None:
        raise self.error

    def close(self) -> None:
        raise self.error


def test_a_closed_viewer_ends_the_run_after_its_frame() -> None:
    kept = Kept()
    failing = Failing(ViewerClosed())
    running = pipeline(grey_frames([DARK] * 5), outputs=[kept, failing])
    assert len(list(running)) == 1
    assert len(kept.results) == 1


def test_everything_is_closed_even_when_an_output_fails_to() -> None:
    kept = Kept()
    running = pipeline(grey_frames([DARK]), outputs=[kept, Failing(DeviceError("disk full"))])
    with pytest.raises(DeviceError, match="disk full"):
        running.close()
    assert kept.closed == 1
    assert running.camera.closed == running.detector.closed == 1  # type: ignore[attr-defined]


def test_what_was_opened_is_closed_when_a_later_part_cannot_be() -> None:
    kept = Kept()
    with pytest.raises(ModelError, match="does not exist"):
        Pipeline.from_config(RunConfig("nothing.mp4", model="none.tflite"), [kept])
    assert kept.closed == 1
    with pytest.raises(DeviceError, match=r"nothing\.mp4 does not exist"):
        Pipeline.from_config(RunConfig("nothing.mp4", model=str(MODEL), detector="none"), [kept])
    assert kept.closed == 2


def test_each_part_gets_the_options_that_are_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def stand_in(name: str, part: object) -> None:
        def make(*arguments: Any, **options: Any) -> object:
            asked[name] = (arguments, options)
            return part

        monkeypatch.setattr(f"edge_emotion.edge_runtime.pipeline.{name}", make)

    stand_in("open_camera", FakeCamera(grey_frames([DARK] * 9)))
    stand_in("open_detector", FakeDetector([FACE]))
    stand_in("EmotionClassifier", EmotionClassifier(MODEL))
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(model_metadata.strip(MODEL.read_bytes()))
    config = RunConfig(
        "7",
        str(bare),
        classes=("x", "z"),
        labels="x,y,z",
        input="48x48:grey:-1:1",
        backend="litert",
        threads=2,
        device="cpu",
        size=(64, 48),
        fps=12.5,
        wait=True,
        detector="haar",
        detect_every=4,
        half_life=1.0,
        margin=0.2,
        settle=0.6,
        unsettle=0.3,
        max_frames=5,
    )
    with Pipeline.from_config(config, [Kept(needs_image=True)]) as running:
        assert running._smoothing == Smoothing(1.0, 0.2, 0.6, 0.3)
        assert running.pace.every == 4
        assert len(list(running)) == 5
    how = {"backend": "litert", "threads": 2}
    declared = ModelMetadata(("x", "y", "z"), InputSpec(low=-1))
    assert asked == {
        "EmotionClassifier": ((str(bare),), {"metadata": declared, "classes": ("x", "z"), "device": "cpu", **how}),
        "open_detector": (("haar",), how),
        "open_camera": (("7",), {"colour": True, "size_wh": (64, 48), "fps": 12.5, "wait": True}),
    }


class Waits(Playback):
    """Notes what waits for its time, and what had gone out by then."""

    def __init__(self, kept: Kept) -> None:
        self.seen: list[tuple[float, int]] = []
        self._kept = kept

    def wait(self, frame: Frame, stopped: Callable[[], bool]) -> None:
        self.seen.append((frame.time_s, len(self._kept.results)))


def test_a_frame_waits_for_its_time_before_it_goes_out_and_that_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    waits = Waits(kept)
    monkeypatch.setattr("edge_emotion.edge_runtime.pipeline.perf_counter", lambda: len(waits.seen))  # a second a wait
    with pipeline(grey_frames([DARK] * 3), outputs=[kept], playback=waits) as running:
        list(running)
    assert waits.seen == [(0.0, 0), (0.04, 1), (0.08, 2)]
    assert [result.latency_ms["total"] for result in kept.results] == [0, 0, 0]


@pytest.mark.parametrize(
    ("outputs", "live", "waits"),
    [
        ({"web": "8080"}, False, True),
        ({"show": True}, False, True),
        ({"web": "8080"}, True, False),
        ({"jsonl": "x.jsonl", "video": "x.avi", "mqtt": "mqtt://broker"}, False, False),
    ],
)
def test_only_a_file_that_is_watched_plays_in_its_own_time(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, Any], live: bool, waits: bool
) -> None:
    kept = Kept()
    made = Waits(kept)
    monkeypatch.setattr("edge_emotion.edge_runtime.pipeline.Playback", lambda: made)
    camera = FakeCamera(grey_frames([DARK] * 2), live=live)
    monkeypatch.setattr("edge_emotion.edge_runtime.pipeline.open_camera", lambda source, **how: camera)
    with Pipeline.from_config(RunConfig("x", str(MODEL), detector="none", **outputs), [kept]) as running:
        list(running)
    assert bool(made.seen) == waits
    assert len(kept.results) == 2


def test_open_takes_the_fields_of_a_configuration(tmp_path: Path) -> None:
    for name, level in (("a", DARK), ("b", BRIGHT)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((60, 60), level, np.uint8))
    with Pipeline.open(str(tmp_path), model=str(MODEL), detector="none", classes=("dark", "bright")) as running:
        results = list(running)
    assert [r.faces[0].label for r in results] == ["dark", "bright"]
    assert [Path(r.source).name for r in results] == ["a.png", "b.png"]
    assert json.loads(json.dumps(results[0].to_json()))["faces"][0]["state"] == "steady"
    with pytest.raises(OptionError, match="max-frames"):
        Pipeline.open(str(tmp_path), max_frames=0)


def test_open_writes_to_the_outputs_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a.avi", (frame.image for frame in grey_frames([DARK] * 5)))
    rows, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    source = str(tmp_path / "a.avi")
    with Pipeline.open(source, model=str(MODEL), detector="none", csv=str(rows), jsonl=str(lines)) as running:
        results = list(running)
    assert len(rows.read_text().splitlines()) == 6
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == [r.frame for r in results]
