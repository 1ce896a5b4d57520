"""A video with the faces drawn in."""

from __future__ import annotations

import errno
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..annotate import annotate
from ..console import note, quiet_opencv
from ..errors import OptionError, OutputError
from ..preprocess import Image
from ..results import FrameResult, TrackedFace
from .output import Output

CODECS = {".avi": "MJPG", ".mkv": "MJPG", ".mp4": "mp4v", ".mov": "mp4v"}
LOOK_AHEAD = 8  # frames at least that are held back until the frame rate is known
LOOK_AHEAD_S = 1.0  # of video: streams begin with a burst of what was waiting
LOOK_AHEAD_BYTES = 64 * 2**20  # but no more than these
CHECK_EVERY_S = 2.0  # of video
ROOM = 256 * 1024  # bytes, more than an encoder holds back
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LONGEST_GAP_S = 5.0  # a longer pause of the camera is cut out


class AnnotatedVideo(Output):
    """Writes every frame with boxes and labels, at the frame rate that it begins with, in time with the source.

    A video that is there is kept: the new one goes to the first free of NAME-1, NAME-2, …, and a note says so.
    OpenCV does not say when the disk is full: `write` and `close` look themselves, and raise OutputError.
    """

    needs_image = True

    def __init__(self, path: Path) -> None:
        """Raises OptionError for a suffix without a codec, OutputError when the folder is not writable."""
        check_suffix(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._path = _first_free(path)
            self._path.open("ab").close()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        if self._path != path:
            note(f"{path} is kept: this video goes to {self._path}")
        self._held: list[tuple[float, Image]] = []
        self._writer: Any = None
        self._size_wh = (0, 0)
        self._fps = 0.0
        self._end_s = 0.0
        self._unchecked_s = 0.0

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Draw and encode one frame."""
        if image is None:
            return
        drawn = annotate(image, caption(result.faces))
        if self._writer is None:
            self._held.append((result.time_s, drawn))
            if self._held_enough():
                self._begin()
            return
        self._encode(result.time_s, drawn)

    def close(self) -> None:
        """Finish the file; one without any frame is removed."""
        if self._held:
            self._begin()
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            self._check_room()
        elif self._path.exists() and self._path.stat().st_size == 0:
            self._path.unlink()

    def _held_enough(self) -> bool:
        frames, spanned_s = len(self._held), self._held[-1][0] - self._held[0][0]
        return frames >= LOOK_AHEAD and (
            spanned_s >= LOOK_AHEAD_S or frames * self._held[0][1].nbytes >= LOOK_AHEAD_BYTES
        )

    def _begin(self) -> None:
        held, self._held = self._held, []
        times = [time_s for time_s, _ in held]
        steps = np.diff(times[len(times) // 2 :] if len(times) >= LOOK_AHEAD else times)
        rate = float(np.clip(1 / np.median(steps), 1, 120)) if steps.size and np.median(steps) > 0 else 25.0
        self._fps = round(rate, 2)  # MPEG-4 counts time in at most 65535 parts of a second, OpenCV in powers of ten
        first = held[0][1]
        self._size_wh = (first.shape[1], first.shape[0])
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        quiet_opencv()
        path = self._path.absolute()  # FFmpeg reads 10:30.mp4 as a protocol
        writer = cv2.VideoWriter(str(path), codec, self._fps, self._size_wh)
        if not writer.isOpened():
            raise OutputError(f"this OpenCV cannot encode {self._path.suffix}: try .avi")
        self._writer, self._end_s = writer, times[0]
        for time_s, drawn in held:
            self._encode(time_s, drawn)

    def _encode(self, time_s: float, drawn: Image) -> None:
        """Write the frame as often as its time asks: not at all, once, or repeatedly after a gap."""
        if (drawn.shape[1], drawn.shape[0]) != self._size_wh:  # a folder of photos
            drawn = _fit(drawn, self._size_wh)
        if not -LONGEST_GAP_S < time_s - self._end_s < LONGEST_GAP_S:
            self._end_s = time_s
        step_s = 1 / self._fps
        while self._end_s <= time_s + step_s / 2:
            self._writer.write(drawn)
            self._end_s += step_s
            self._unchecked_s += step_s
        if self._unchecked_s >= CHECK_EVERY_S:
            self._unchecked_s = 0.0
            self._check_room()

    def _check_room(self) -> None:
        try:
            with tempfile.TemporaryFile(dir=self._path.parent, buffering=0) as probe:
                is_full = probe.write(bytes(ROOM)) < ROOM
        except OSError as error:
            is_full = error.errno in FULL  # a folder in which only this file may be written says nothing of the disk
        if is_full:
            raise OutputError(f"cannot write {self._path}: the disk is full, and the end of the video is missing")


def check_suffix(path: Path) -> None:
    """Raise OptionError when there is no codec for a file of this name."""
    if path.suffix.lower() not in CODECS:
        raise OptionError(f"--video {path}: write to one of {', '.join(sorted(CODECS))}")


def _first_free(path: Path) -> Path:
    """The path, or the first of NAME-1, NAME-2, … that holds nothing yet."""
    others = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(1))
    return next(p for p in itertools.chain([path], others) if not (p.is_file() and p.stat().st_size))


def caption(faces: Sequence[TrackedFace]) -> list[tuple[tuple[int, int, int, int], str]]:
    """What is drawn for each face: box and caption."""
    return [(face.box_xywh, face.caption) for face in faces]


def _fit(picture: Image, size_wh: tuple[int, int]) -> Image:
    """The picture inside a frame of the given size, its shape kept, black around."""
    scale = min(size_wh[0] / picture.shape[1], size_wh[1] / picture.shape[0])
    width, height = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
    frame = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    left, top = (size_wh[0] - width) // 2, (size_wh[1] - height) // 2
    frame[top : top + height, left : left + width] = cv2.resize(picture, (width, height))
    return frame
