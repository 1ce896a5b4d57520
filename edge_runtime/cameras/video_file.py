"""A video file: every frame, in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..console import note, printable, quiet_opencv
from ..errors import DeviceError
from .camera import Camera, Frame
from .stream import TIMEOUTS, without_password

HIGHEST_FPS = 1000.0  # above it the header is wrong: 90,000 is a clock rate, not a frame rate


class VideoFile(Camera):
    """Frames of a video file with their media time. A file that is cut off gives what it had, and says so."""

    live = False

    def __init__(self, source: str | Path) -> None:
        """Open the file, or an HTTP URL of one.

        Raises DeviceError when it is missing, empty, or no video that OpenCV can decode, or does not answer within 5 s.
        """
        self.source = without_password(str(source))
        self._is_remote = "://" in self.source
        quiet_opencv()
        if self._is_remote:
            self._video = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG, TIMEOUTS)
        else:
            _check_file(Path(source))
            self._video = cv2.VideoCapture(str(Path(source).absolute()))  # FFmpeg reads 10:30.mp4 as a protocol
        if not self._video.isOpened():
            if self._is_remote:
                raise DeviceError(
                    f"{self.source} does not answer with a video: is the address right, and the user allowed?"
                )
            raise DeviceError(
                f"{self.source} is not a video that OpenCV can decode: convert it to MP4 (H.264) or MJPEG AVI"
            )
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= HIGHEST_FPS else 0.0
        self._announced = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._index = 0
        self._time_s = 0.0

    def read(self) -> Frame | None:
        """The next frame, or None at the end, also of a server that says nothing for 5 s."""
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
            why = "the server gives no more of it, or the file" if self._is_remote else "the file"
            note(f"{self.source} ends after {self._index} of {self._announced} frames: {why} is cut off or damaged")


def _check_file(path: Path) -> None:
    if printable(path.absolute()) != str(path.absolute()):
        raise DeviceError(f"the name of video {printable(path)} is not UTF-8, and OpenCV crashes on it: rename it")
    if not path.is_file():
        raise DeviceError(f"video {path} does not exist")
    if path.stat().st_size == 0:
        raise DeviceError(f"video {path} is empty")
