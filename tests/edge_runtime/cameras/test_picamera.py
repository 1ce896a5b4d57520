"""picamera2 as its source shows it (raspberrypi/picamera2, request.py, Helpers.make_array): a YUV420 stream of size
(w, h) becomes an array of shape (h·3/2, stride), padding left in; RGB888 one of (h, w, 3) in B, G, R order.
`Picamera2()` raises RuntimeError: without its camera "No camera number 0 found", and its notify pipe stays open; with
a busy one "Camera __init__ sequence did not complete." (issue 166). `global_camera_info()` lists USB cameras after
the others. `wait` with a number of seconds raises TimeoutError."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras.picamera import PiCapture, grey_plane
from edge_emotion.edge_runtime.errors import DeviceError, RuntimeMissingError

I2C = "/base/soc/i2c0mux/i2c@1"
USB = "/base/soc/usb@7e980000/hub@1-1:1.0-046d:0825"


class Camera:
    """A sensor of which libcamera pads rows to 64 bytes."""

    attached: tuple[str, ...] = ()
    refusal: Exception | None = None
    silent: Exception | None = None
    last: "Camera"

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Id": path, "Num": number} for number, path in enumerate(Camera.attached)]

    def __init__(self, number: int) -> None:
        if Camera.refusal:
            raise Camera.refusal
        Camera.last = self
        self.number = number
        self.started = self.closed = False

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def camera_configuration(self) -> dict[str, Any]:
        return self.configuration

    def start(self) -> None:
        self.started = True

    def capture_array(self, name: str, wait: float) -> Any:
        if Camera.silent:
            raise Camera.silent
        return self._array(name)

    def capture_arrays(self, names: list[str], wait: float) -> tuple[list[Any], dict[str, Any]]:
        return [self.capture_array(name, wait) for name in names], {"ExposureTime": 9000}

    def close(self) -> None:
        self.closed = True

    def _array(self, name: str) -> Any:
        width, height = self.configuration[name]["size"]
        if self.configuration[name]["format"] == "RGB888":
            return np.full((height, width, 3), (1, 2, 3), np.uint8)
        stride = (width + 63) // 64 * 64
        array = np.full((height * 3 // 2, stride), 255, np.uint8)
        array[:height, :width] = np.arange(width, dtype=np.uint8)
        return array


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    picamera2, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
    picamera2.Picamera2 = Camera  # type: ignore[attr-defined]
    libcamera.ColorSpace = type("ColorSpace", (), {"Sycc": staticmethod(lambda: "sYCC")})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setattr(Camera, "attached", (f"{I2C}/imx708@1a", f"{I2C}/imx219@10", USB))
    monkeypatch.setattr(Camera, "refusal", None)
    monkeypatch.setattr(Camera, "silent", None)


@pytest.mark.parametrize("size", [(640, 480), (596, 336), (320, 240), (100, 50)])
def test_the_grey_plane_is_cut_out_of_the_padding(size: tuple[int, int]) -> None:
    capture = PiCapture(size_wh=size)
    image, colour = capture.grab()
    assert image.shape == (size[1], size[0])
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image[-1], np.arange(size[0], dtype=np.uint8))
    assert colour is None


def test_colour_of_the_same_size_comes_only_when_it_is_asked_for() -> None:
    image, colour = PiCapture(colour=True, size_wh=(100, 50)).grab()
    assert image.shape == (50, 100)
    assert colour is not None
    assert colour.shape == (50, 100, 3)
    assert colour[0, 0].tolist() == [1, 2, 3]  # B, G, R as it came


def test_full_range_and_the_frame_rate_are_asked_for() -> None:
    PiCapture(fps=15, number=1)
    assert Camera.last.number == 1
    assert Camera.last.started
    wanted = Camera.last.configuration
    assert wanted["colour_space"] == "sYCC"
    assert wanted["controls"] == {"FrameRate": 15}
    assert wanted["lores"] == {"size": (640, 480), "format": "YUV420"}


@pytest.mark.parametrize(
    ("attached", "number", "message"),
    [
        ((), 0, "no CSI camera is found: .*rpicam-hello --list-cameras"),
        ((USB,), 0, "no CSI camera is found"),
        ((f"{I2C}/imx219@10", USB), 1, "no CSI camera 1 is found"),
    ],
)
def test_an_absent_camera_is_not_opened(attached: tuple[str, ...], number: int, message: str) -> None:
    Camera.attached = attached
    Camera.refusal = AssertionError("opened")
    with pytest.raises(DeviceError, match=message):
        PiCapture(number=number)


def test_a_busy_camera_says_what_to_do() -> None:
    Camera.refusal = RuntimeError("Camera __init__ sequence did not complete.")
    with pytest.raises(DeviceError, match="another program"):
        PiCapture()


def test_a_refused_configuration_releases_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Camera, configuration: object) -> None:
        raise RuntimeError("lores stream may not exceed main stream")

    monkeypatch.setattr(Camera, "configure", refuse)
    with pytest.raises(DeviceError, match=r"refuses 640x480 at 30 a second: lores stream"):
        PiCapture()
    assert Camera.last.closed


@pytest.mark.parametrize("error", [TimeoutError(), RuntimeError("Camera frontend has timed out!")])
def test_a_camera_whose_cable_came_off_is_reported(error: Exception) -> None:
    capture = PiCapture()
    Camera.silent = error
    with pytest.raises(DeviceError, match="check its cable"):
        capture.grab()
    capture.close()
    assert Camera.last.closed


def test_without_picamera2_or_with_another_numpy_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(RuntimeMissingError, match="--system-site-packages"):
        PiCapture()

    class Broken(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ValueError("numpy.dtype size changed, may indicate binary incompatibility")

    monkeypatch.setitem(sys.modules, "picamera2", Broken("picamera2"))
    with pytest.raises(RuntimeMissingError, match="edge-emotion doctor"):
        PiCapture()


def test_grey_plane_is_a_copy() -> None:
    buffer = np.zeros((6, 64), np.uint8)
    plane = grey_plane(buffer, (4, 4))
    buffer[:] = 9
    assert not plane.any()
