"""A USB camera through V4L2."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from ..console import note, quiet_opencv
from ..errors import DeviceError
from ..preprocess import Image
from .live import Capture

MJPG = cv2.VideoWriter.fourcc(*"MJPG")


class UsbCapture(Capture):
    """An open V4L2 device.

    MJPG is asked for before the size: uncompressed, USB 2 carries 640×480 at 30 a second and little more. What the
    driver granted is read back, as it may refuse each silently; another size than `size_wh` is reported.
    """

    def __init__(self, device: Path, size_wh: tuple[int, int] | None = None, fps: float | None = None) -> None:
        """Open the device. Raises DeviceError: absent, not permitted, busy, or no capture device."""
        self._name = str(device)
        _check_access(device)
        quiet_opencv()
        self._video = cv2.VideoCapture(self._name, cv2.CAP_V4L2)
        if not self._video.isOpened():
            raise DeviceError(
                f"{device} does not open: it is in use (fuser {device} shows by whom) or is no capture device "
                "(v4l2-ctl --list-devices shows which are)"
            )
        self._video.set(cv2.CAP_PROP_FOURCC, MJPG)
        width, height = size_wh or (640, 480)
        self._video.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._video.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._video.set(cv2.CAP_PROP_FPS, fps or 30)
        self.fps = max(0.0, self._video.get(cv2.CAP_PROP_FPS))
        granted = int(self._video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if size_wh is not None and granted != size_wh:
            note(f"camera {device} gives {granted[0]}x{granted[1]}, not the {width}x{height} asked for")

    def grab(self) -> tuple[Image, Image | None]:
        """The next frame, BGR. Raises DeviceError when the driver gives none (OpenCV waits 10 s) or an empty one."""
        try:
            with_frame, image = self._video.read()
        except cv2.error as error:  # pulling the plug hands out empty buffers, and OpenCV decodes them unseen
            raise DeviceError(f"{self._name} gives broken frames: is it still plugged in?") from error
        if not with_frame or image is None:
            raise DeviceError(f"{self._name} gives no frames: is it still plugged in?")
        return np.asarray(image, np.uint8), None

    def close(self) -> None:
        """Release the device."""
        self._video.release()


def _check_access(device: Path) -> None:
    if not device.exists():
        others = ", ".join(str(path) for path in sorted(Path("/dev").glob("video*"))) or "none"
        raise DeviceError(f"there is no camera {device}: video devices here: {others}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise DeviceError(f"this user may not open {device}: sudo usermod -aG video $USER, then log in again")
