"""A video file: every frame, in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..console import note, printable, quiet_opencv
from ..errors import DeviceError
from .camera import Camera, Frame
from .stream import without_password

HIGHEST_FPS = 1000.0  # above it the header is wrong: 90,000 is a clock rate, not a frame rate


class VideoFile(Camera):
    """Frames of a video file with their media time. A file that is cut off gives what it had, and says so."""

    live = False

    def __init__(self, source: str | Path) -> None:
        """Open the file, or an HTTP URL of one.

        Raises DeviceError when it is missing, empty, or no video that OpenCV can decode.
        """
        self.source = without_password(str(source))
        if "://" not in self.source:
            _check_file(Path(source))
        quiet_opencv()
        self._video = cv2.VideoCapture(str(source))
        if not self._video.isOpened():
            raise DeviceError(
                f"{self.source} is not a video that OpenCV can decode: convert it to MP4 (H.264) or MJPEG AVI"
            )
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= HIGHEST_FPS else 0.0
        self._announced = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._index = 0
        self._time_s = 0.0

    def read(self) -> Frame | None:
        """The next frame, or None at the end."""
        found, image = self._video.read()
        if not found:
            self._report_end()
            return None
        self._time_s = self._media_time()
        frame = Frame(np.asarray(image, np.uint8), self._index, self._time_s)
        self._index += 1
        return frame

    def close(self) -> None:
        """Close the file."""
        self._video.release()

    def _media_time(self) -> float:
        """Seconds: the container's time stamp where it moves forward, else the frame number over the frame rate."""
        stamp = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._index == 0:
            return max(0.0, stamp)
        if stamp > self._time_s:
            return stamp
        return self._time_s + 1 / (self.fps or 25.0)

    def _report_end(self) -> None:
        if self._index == 0:
            raise DeviceError(f"{self.source} holds no frame that can be decoded: is the file complete?")
        if self._index < self._announced - 1:  # containers round: one missing frame is no damage
            note(f"{self.source} ends after {self._index} of {self._announced} frames: the file is cut off or damaged")


def _check_file(path: Path) -> None:
    if printable(path) != str(path):
        raise DeviceError(f"the name of video {printable(path)} is not UTF-8, and OpenCV crashes on it: rename it")
    if not path.is_file():
        raise DeviceError(f"video {path} does not exist")
    if path.stat().st_size == 0:
        raise DeviceError(f"video {path} is empty")
