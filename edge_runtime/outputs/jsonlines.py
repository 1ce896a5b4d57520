"""JSON lines: one line a frame."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from ..errors import DeviceError
from ..preprocess import Image
from ..results import FrameResult
from .output import Output


class JsonLines(Output):
    """Writes `FrameResult.to_json`, one line a frame, each flushed when written; `-` is stdout."""

    needs_image = False

    def __init__(self, target: str) -> None:
        """Open for appending. Raises DeviceError when the file cannot be written."""
        self._target = target
        self._file: TextIO = sys.stdout
        if target != "-":
            try:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                self._file = Path(target).open("a", encoding="utf-8")  # noqa: SIM115 (close closes it)
            except OSError as error:
                raise DeviceError(f"cannot write {target}: {error.strerror or error}") from error

    def write(self, result: FrameResult, image: Image | None) -> None:
        """One line."""
        self._file.write(json.dumps(result.to_json(), separators=(",", ":"), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._target != "-":
            self._file.close()
