"""A stream from a URL: RTSP, HTTP, MJPEG, through OpenCV's FFmpeg."""

from __future__ import annotations

import re

import cv2
import numpy as np

from ..console import quiet_opencv
from ..errors import DeviceError
from ..preprocess import Image
from .live import Capture

TIMEOUT_MS = 5000
TIMEOUTS = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS)
USER_INFO = re.compile(r"^(?:[^/?]*@|[^/?@\[]*:(?!\d*(?:[/?]|$)).*@)")
"""What comes before a host: up to the last @; also past a / or ? when what follows the colon is no port, so that it is
a password with these characters in it, not escaped."""
SECRET = re.compile(r"((?:user|usr|login|pas|pwd|token|key|auth|secret|sig)[\w.-]*=)[^&]*", re.IGNORECASE)
"""A user, password or key among the parameters, with its value: `user=admin&pwd=…`, `/user=admin_password=…`."""


class StreamCapture(Capture):
    """An open stream. One over HTTP of known length, a video behind a URL that does not look like one, ends in order.

    Whether any other without frames has ended or was lost only another try tells.
    """

    def __init__(self, url: str) -> None:
        """Connect. Raises DeviceError when nothing that can be decoded answers within 5 s."""
        self._name = without_password(url)
        quiet_opencv()
        self._video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, TIMEOUTS)
        if not self._video.isOpened():
            raise DeviceError(
                f"{self._name} does not answer with a stream: is the address right, and the user allowed?"
            )
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 240 else 0.0
        self._is_finite = url.lower().startswith("http") and self._video.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def grab(self) -> tuple[Image, Image | None] | None:
        """The next frame, BGR; None at the end of a video. Raises DeviceError when there is none within 5 s."""
        with_frame, image = self._video.read()
        if not with_frame or image is None:
            if self._is_finite:
                return None
            raise DeviceError("no more frames")
        return np.asarray(image, np.uint8), None

    def close(self) -> None:
        """Hang up."""
        self._video.release()


def without_password(url: str) -> str:
    """The URL without user and password, also those among its parameters, as it may be shown and stored.

    >>> without_password("rtsp://me:secret@camera.local:554/live?channel=1")
    'rtsp://camera.local:554/live?channel=1'
    >>> without_password("http://camera.local/video.cgi?user=me&pwd=secret&rate=5")
    'http://camera.local/video.cgi?user=…&pwd=…&rate=5'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url  # a path
    return scheme + separator + SECRET.sub(r"\1…", USER_INFO.sub("", rest))
