"""V4L2 as OpenCV shows it. What a refusing driver does is taken from OpenCV's cap_v4l.cpp (4.x).

`set` returns False or is ignored, `get` gives what was granted, `isOpened` is False when the device is busy (EBUSY on
VIDIOC_S_FMT, logged as "can't open camera by index"), and `read` returns (False, None) after "select() timeout."
(opencv/opencv issue 20504).
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras.usb import MJPG, UsbCapture
from edge_emotion.edge_runtime.errors import DeviceError


class Driver:
    """A webcam that has 640×480 and 1280×720, at 30 a second, and refuses anything else silently."""

    opened = True
    frames = 2
    granted: dict[int, float]
    asked: list[tuple[int, float]]

    def __init__(self, name: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        Driver.asked = []
        Driver.granted = {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0, cv2.CAP_PROP_FPS: 30.0}
        self.left = Driver.frames
        self.released = 0

    def isOpened(self) -> bool:
        return Driver.opened

    def set(self, key: int, value: float) -> bool:
        Driver.asked.append((key, value))
        allowed = {
            cv2.CAP_PROP_FRAME_WIDTH: (640, 1280),
            cv2.CAP_PROP_FRAME_HEIGHT: (480, 720),
            cv2.CAP_PROP_FPS: (30,),
        }
        if key in allowed and value not in allowed[key]:
            return False
        Driver.granted[key] = float(value)
        return True

    def get(self, key: int) -> float:
        return Driver.granted.get(key, -1.0)

    def read(self) -> tuple[bool, object]:
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.zeros((480, 640, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cv2, "VideoCapture", Driver)
    monkeypatch.setattr(Driver, "opened", True)
    path = tmp_path / "video0"
    path.touch()
    return path


def test_mjpg_is_asked_for_before_the_size_and_the_buffers_are_left_to_the_driver(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    UsbCapture(device, (1280, 720))
    assert [key for key, _ in Driver.asked] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]
    assert Driver.asked[0][1] == MJPG == int.from_bytes(b"MJPG", "little")
    assert capsys.readouterr().err == ""


def test_what_was_granted_is_said_when_the_driver_refuses(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = UsbCapture(device, (4000, 3000), fps=240)
    assert "video0 gives 640x480, not the 4000x3000 asked for" in capsys.readouterr().err
    assert capture.fps == 30


def test_a_driver_that_knows_no_frame_rate_gives_zero(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "get", lambda self, key: -1.0)
    assert UsbCapture(device).fps == 0


def test_frames_come_until_the_driver_gives_none(device: Path) -> None:
    capture = UsbCapture(device)
    for _ in range(2):
        image, colour = capture.grab()
        assert image.shape == (480, 640, 3)
        assert colour is None
    with pytest.raises(DeviceError, match="still plugged in"):
        capture.grab()


def test_an_empty_buffer_is_a_camera_that_gives_nothing(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Driver) -> tuple[bool, object]:  # what cap_v4l.cpp does with a buffer marked as erroneous
        return True, cv2.imdecode(np.zeros(0, np.uint8), cv2.IMREAD_COLOR)

    capture = UsbCapture(device)
    monkeypatch.setattr(Driver, "read", read)
    with pytest.raises(DeviceError, match="still plugged in"):
        capture.grab()


def test_a_busy_device_says_how_to_find_out_who_has_it(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "opened", False)
    with pytest.raises(DeviceError, match=r"in use \(fuser .*video0"):
        UsbCapture(device)


def test_an_absent_device_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="video devices here"):
        UsbCapture(tmp_path / "video7")


def test_a_forbidden_device_names_the_group(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DeviceError, match="usermod -aG video"):
        UsbCapture(device)
