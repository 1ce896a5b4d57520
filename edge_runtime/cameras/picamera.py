"""A CSI camera of a Raspberry Pi, through picamera2."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeviceError, RuntimeMissingError
from ..preprocess import Image
from .live import Capture

WAIT_S = 5.0


class PiCapture(Capture):
    """An open CSI camera.

    The classifier gets the Y plane of the low-resolution stream, which the camera's processor scales and which is grey
    already, in full range (colour space sYCC). Colour, of the same size, is fetched only when something shows it.
    """

    def __init__(
        self, *, colour: bool = False, size_wh: tuple[int, int] | None = None, fps: float | None = None, number: int = 0
    ) -> None:
        """Open and start. Raises RuntimeMissingError without picamera2, DeviceError when the camera refuses."""
        picamera2, colour_space = _import()
        size = size_wh or (640, 480)
        self._colour = colour
        self.fps = fps or 30.0
        # Asked first: a try to open one that is absent leaves file handles behind. USB cameras are listed last.
        if number >= sum("/usb" not in camera["Id"] for camera in picamera2.global_camera_info()):
            which = f"no CSI camera {number}" if number else "no CSI camera"
            raise DeviceError(
                f"{which} is found: check its cable, then rpicam-hello --list-cameras (a USB camera is --source 0)"
            )
        try:
            self._camera: Any = picamera2(number)
        except RuntimeError as error:
            raise DeviceError(f"the CSI camera does not open ({error}): another program may be using it") from error
        try:
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": size, "format": "RGB888"},  # libcamera's name for B, G, R in memory
                    lores={"size": size, "format": "YUV420"},
                    colour_space=colour_space,
                    controls={"FrameRate": self.fps},
                )
            )
            self._size_wh: tuple[int, int] = self._camera.camera_configuration()["lores"]["size"]
            self._camera.start()
        except RuntimeError as error:
            self._camera.close()
            raise DeviceError(
                f"the CSI camera refuses {size[0]}x{size[1]} at {self.fps:g} a second: {error}"
            ) from error

    def grab(self) -> tuple[Image, Image | None]:
        """Grey plane, and colour when asked for. Raises DeviceError when the camera fails or is silent for 5 s."""
        try:
            if not self._colour:
                return grey_plane(self._camera.capture_array("lores", wait=WAIT_S), self._size_wh), None
            (main, lores), _ = self._camera.capture_arrays(["main", "lores"], wait=WAIT_S)
        except (RuntimeError, TimeoutError) as error:
            raise DeviceError(f"the CSI camera gives no frames ({error}): check its cable") from error
        return grey_plane(lores, self._size_wh), np.ascontiguousarray(main, np.uint8)

    def close(self) -> None:
        """Stop and release the camera."""
        self._camera.close()


def grey_plane(yuv420: Image, size_wh: tuple[int, int]) -> Image:
    """The Y plane, (H, W), of a YUV420 array as picamera2 gives it: (H·3/2, stride), rows padded to the stride."""
    width, height = size_wh
    return np.ascontiguousarray(yuv420[:height, :width])


def _import() -> tuple[Any, Any]:
    try:
        from libcamera import ColorSpace
        from picamera2 import Picamera2
    except ImportError as error:
        raise RuntimeMissingError(
            f"picamera2 cannot be imported ({error}): sudo apt install python3-picamera2, "
            "and make the virtual environment with --system-site-packages"
        ) from error
    except ValueError as error:  # "numpy.dtype size changed": apt's binaries against another NumPy
        raise RuntimeMissingError(
            f"picamera2 does not work with this NumPy ({error}): see edge-emotion doctor"
        ) from error
    return Picamera2, ColorSpace.Sycc()
