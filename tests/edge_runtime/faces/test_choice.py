import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import zoo
from edge_emotion.edge_runtime.errors import DeviceError, ImageError, ModelError, OptionError
from edge_emotion.edge_runtime.faces import Face, crop, open_detector
from edge_emotion.edge_runtime.faces.blazeface import BlazeFace
from edge_emotion.edge_runtime.faces.haar import HaarDetector
from edge_emotion.edge_runtime.faces.whole import WholeImage


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def test_auto_is_the_bundled_blazeface(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("auto", "blazeface"):
        with open_detector(name) as detector:
            assert isinstance(detector, BlazeFace)
    assert capsys.readouterr() == ("", "")


def test_what_has_not_been_fetched_says_how_to_get_it() -> None:
    with pytest.raises(ModelError, match="edge-emotion models fetch blazeface-full"):
        open_detector("blazeface-full")


def test_what_was_fetched_is_opened_and_what_was_changed_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = zoo.WEIGHTS["blazeface-full"]
    monkeypatch.setitem(zoo.WEIGHTS, "blazeface-full", replace(pinned, sha256=zoo.WEIGHTS["blazeface"].sha256))
    pinned.path.parent.mkdir()
    pinned.path.write_bytes(zoo.located("blazeface").read_bytes())
    with open_detector("blazeface-full") as detector:
        assert isinstance(detector, BlazeFace)
    pinned.path.write_bytes(b"something else")
    with pytest.raises(ModelError, match="not the pinned file"):
        open_detector("blazeface-full")


def test_haar_comes_with_opencv() -> None:
    with open_detector("haar") as detector:
        assert isinstance(detector, HaarDetector)


def test_none_takes_the_picture_as_the_face() -> None:
    with open_detector("none") as detector:
        assert isinstance(detector, WholeImage)
        (face,) = detector.detect(np.zeros((20, 30), np.uint8))
    assert face.box_xywh == (0, 0, 30, 20)


@pytest.mark.parametrize("name", ["blazefase", "", "blazeface:x.tflite", "haar:x.xml", "yunet", "yunet:"])
def test_what_is_no_detector_is_a_wrong_option(name: str) -> None:
    with pytest.raises(OptionError):
        open_detector(name)


def test_yunet_needs_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        open_detector(f"yunet:{tmp_path}/none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="not a YuNet model"):
        open_detector(f"yunet:{tmp_path}/bad.onnx")
    monkeypatch.delattr(cv2, "FaceDetectorYN")
    with pytest.raises(DeviceError, match="has no FaceDetectorYN"):
        open_detector(f"yunet:{tmp_path}/bad.onnx")


class Net:
    """FaceDetectorYN as OpenCV documents it: rows of 15 floats in the pixels it was shown."""

    shown: tuple[int, int] = (0, 0)

    def setInputSize(self, size: tuple[int, int]) -> None:
        Net.shown = size

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert (image.shape[1], image.shape[0]) == Net.shown
        if not image.any():
            return 1, None
        small = [1, 2, 10, 12, *range(10), 0.7]
        large = [20, 30, 40, 50, 30, 40, 50, 40, 0, 0, 0, 0, 0, 0, 0.9]
        overflowed = [*[5] * 14, 0.8]
        overflowed[2] = np.inf
        return 1, np.array([small, overflowed, large, [np.nan] * 15], np.float32)


def test_yunets_boxes_and_eyes_come_back_in_the_pictures_own_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Net())
    (tmp_path / "net.onnx").touch()
    with open_detector(f"yunet:{tmp_path}/net.onnx") as detector:
        first, second = detector.detect(np.full((480, 640), 9, np.uint8))
        assert Net.shown == (320, 240)
        assert first.box_xywh == (43, 64, 74, 92)  # (40, 60, 80, 100), a little tighter
        assert first.keypoints[:2] == ((60, 80), (100, 80))
        assert first.score == pytest.approx(0.9)
        assert second.box_xywh == (3, 5, 18, 22)
        assert detector.detect(np.zeros((480, 640, 3), np.uint8)) == []


def test_yunet_sees_each_threads_picture_in_its_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Net):
        def setInputSize(self, size: tuple[int, int]) -> None:
            super().setInputSize(size)
            time.sleep(0.001)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Slow())
    (tmp_path / "net.onnx").touch()
    with open_detector(f"yunet:{tmp_path}/net.onnx") as detector, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(detector.detect, [np.full((40 + side, 40), 9, np.uint8) for side in range(12)]))


@pytest.mark.parametrize("name", ["none", "haar", "blazeface"])
@pytest.mark.parametrize("picture", [None, np.zeros((4, 4), np.float32), np.zeros((4, 0), np.uint8)])
def test_what_is_no_picture_is_said(name: str, picture: Any) -> None:
    face = Face((0, 0, 2, 2))
    with open_detector(name) as detector, pytest.raises(ImageError):
        detector.detect(picture)
    with pytest.raises(ImageError):
        crop(picture, face, 0.1)
