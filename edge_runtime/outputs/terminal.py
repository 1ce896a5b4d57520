"""One live line on a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from ..preprocess import Image
from ..results import FrameResult
from .output import Output

EVERY_S = 0.2
SMOOTH = 0.9  # of the shown rates


class Terminal(Output):
    """Rewrites one line with rates and faces, five times a second. The caller asks it only for a terminal.

    A terminal that is gone ends nothing.
    """

    needs_image = False

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.perf_counter) -> None:
        self._stream = stream
        self._clock = clock
        self._shown = -EVERY_S
        self._last: float | None = None
        self._frame_s = 0.0
        self._work_ms = 0.0
        self._used = False

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Count a frame, and show it when the time has come."""
        now = self._clock()
        work_ms = result.latency_ms["total"] - result.latency_ms["capture"]
        self._work_ms = SMOOTH * self._work_ms + (1 - SMOOTH) * work_ms if self._last is not None else work_ms
        if self._last is not None:
            step = now - self._last
            self._frame_s = SMOOTH * self._frame_s + (1 - SMOOTH) * step if self._frame_s else step
        self._last = now
        if now - self._shown >= EVERY_S:
            self._shown = now
            self._show(self.line(result))

    def line(self, result: FrameResult) -> str:
        """What is shown for a frame."""
        rate = f"{1 / self._frame_s:5.1f} frames/s" if self._frame_s else "  first frame"
        faces = ", ".join(face.caption for face in result.faces)
        return f"{rate}  {self._work_ms:5.1f} ms  {faces or 'no face'}"

    def close(self) -> None:
        """End the line."""
        if self._used:
            self._write("\n")
            self._used = False

    def _show(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r{text[:width]:<{width}}")
        self._used = True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
