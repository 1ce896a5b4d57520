"""A stream from a URL: RTSP, HTTP, MJPEG, through OpenCV's FFmpeg."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

import cv2
import numpy as np

from ..console import quiet_native
from ..errors import DeviceError
from ..preprocess import Image
from .live import Capture

TIMEOUT_MS = 5000


class StreamCapture(Capture):
    """An open stream. Whether a stream without frames has ended or was lost only another try tells."""

    def __init__(self, url: str) -> None:
        """Connect. Raises DeviceError when nothing that can be decoded answers within 5 s."""
        self._name = without_password(url)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: its messages show the password
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
        with quiet_native():
            self._video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
        if not self._video.isOpened():
            raise DeviceError(
                f"{self._name} does not answer with a stream: is the address right, and the user allowed?"
            )
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 240 else 0.0

    def grab(self) -> tuple[Image, Image | None]:
        """The next frame, BGR. Raises DeviceError when there is none within 5 s."""
        with_frame, image = self._video.read()
        if not with_frame or image is None:
            raise DeviceError("no more frames")
        return np.asarray(image, np.uint8), None

    def close(self) -> None:
        """Hang up."""
        self._video.release()


def without_password(url: str) -> str:
    """The URL without user and password, as it may be shown and stored.

    >>> without_password("rtsp://me:secret@camera.local:554/live?channel=1")
    'rtsp://camera.local:554/live?channel=1'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
