import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.annotate import annotate
from edge_emotion.edge_runtime.errors import DeviceError
from edge_emotion.edge_runtime.faces import haar
from edge_emotion.edge_runtime.faces.haar import HaarDetector


def test_an_empty_scene_has_no_faces() -> None:
    with HaarDetector() as detector:
        assert detector.detect(np.full((240, 320, 3), 128, np.uint8)) == []
        assert detector.detect(np.zeros((3, 3), np.uint8)) == []


def test_boxes_come_back_in_the_pictures_own_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cascade:
        def empty(self) -> bool:
            return False

        def detectMultiScale(self, grey: np.ndarray, *_: object, **__: object) -> np.ndarray:
            assert grey.shape == (240, 320)
            return np.array([[10, 20, 30, 30], [1, 2, 50, 50]])

    monkeypatch.setattr(cv2, "CascadeClassifier", lambda path: Cascade())
    with HaarDetector(working_side=320) as detector:
        faces = detector.detect(np.zeros((960, 1280, 3), np.uint8))
    assert [face.box_xywh for face in faces] == [(4, 8, 200, 200), (40, 80, 120, 120)]


def test_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cascade:
        busy = threading.Lock()

        def empty(self) -> bool:
            return False

        def detectMultiScale(self, *_: object, **__: object) -> np.ndarray:
            assert self.busy.acquire(blocking=False)
            time.sleep(0.001)
            self.busy.release()
            return np.array([[10, 20, 30, 30]])

    monkeypatch.setattr(cv2, "CascadeClassifier", lambda path: Cascade())
    detector = HaarDetector()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(detector.detect, [np.zeros((48, 48), np.uint8)] * 12))


def test_without_a_cascade_file_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haar, "CASCADE", "none.xml")
    with pytest.raises(DeviceError, match="opencv-data"):
        HaarDetector()


def test_annotations_stay_inside_and_leave_the_picture_alone() -> None:
    image = np.zeros((40, 60), np.uint8)
    drawn = annotate(image, [((-5, -5, 30, 30), "happy 99 %"), ((50, 30, 30, 30), "a very long label indeed")])
    assert drawn.shape == (40, 60, 3)
    assert drawn.any()
    assert not image.any()
    assert annotate(image, []).shape == (40, 60, 3)
