"""A text file of records, one a line: appended to, flushed at each, rotated at a size."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from ..errors import DeviceError

STDOUT = "-"


class RecordFile:
    """Appends whole lines to a file, or to stdout for `-`.

    rotate_bytes: before it would grow past this size the file becomes `NAME.1`, the one before `NAME.2`, and so on;
    `keep` of them stay. 0 never rotates.
    """

    def __init__(self, target: str, *, rotate_bytes: int = 0, keep: int = 10) -> None:
        """Open for appending. Raises DeviceError when the file cannot be written."""
        self._path = None if target == STDOUT else Path(target)
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._file: TextIO = sys.stdout
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._open(self._path)
            except OSError as error:
                raise DeviceError(f"cannot write {self._path}: {error.strerror or error}") from error

    @property
    def is_new(self) -> bool:
        """Whether nothing is written in the present file yet; stdout is new until the first line."""
        return self._size == 0

    def make_room(self, line: str) -> None:
        """Begin a new file if this line would not fit. Called before `append` by formats that have a header."""
        size = self._size + len(line.encode())
        if self._path is not None and 0 < self._rotate_bytes < size and self._size:
            self._rotate(self._path)

    def append(self, line: str) -> None:
        """Write a line, which ends in a line break, and flush it. Raises DeviceError, for instance on a full disk."""
        self.make_room(line)
        try:
            self._file.write(line)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DeviceError(f"cannot write {self._path or 'stdout'}: {error.strerror or error}") from error
        self._size += len(line.encode())

    def close(self) -> None:
        """Close the file, after its bytes have reached the disk. May be called twice."""
        if self._path is not None and not self._file.closed:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())

    _size = 0

    def _open(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", newline="")
        self._size = os.fstat(self._file.fileno()).st_size

    def _rotate(self, path: Path) -> None:
        self.close()
        for number in range(self._keep - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
        self._open(path)
