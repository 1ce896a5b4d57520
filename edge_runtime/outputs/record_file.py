"""A text file of records, one a line: appended to, on disk at each, rotated at a size."""

from __future__ import annotations

import contextlib
import os
import sys
from io import FileIO
from pathlib import Path

from ..errors import DeviceError

STDOUT = "-"


class RecordFile:
    """Appends whole lines to a file, or to stdout for `-`. Nothing is held back: a killed process loses no line.

    rotate_bytes: before it would grow past this size the file becomes `NAME.1`, the one before `NAME.2`, and so on;
    `keep` of them stay. 0 never rotates.
    """

    def __init__(self, target: str, *, rotate_bytes: int = 0, keep: int = 10) -> None:
        """Open for appending. Raises DeviceError when the file cannot be written."""
        self._path = None if target == STDOUT else Path(target)
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._size = 0
        self._file: FileIO | None = None
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._open(self._path)
            except OSError as error:
                raise DeviceError(f"cannot write {self._path}: {error.strerror or error}") from error

    @property
    def is_new(self) -> bool:
        """Whether nothing is written in the present file yet; stdout is new until the first line."""
        return self._size == 0

    def make_room(self, line: str) -> None:
        """Begin a new file if this line would not fit. Called before `append` by formats that have a header."""
        if self._path is not None and 0 < self._rotate_bytes < self._size + len(line.encode()) and self._size:
            self._rotate(self._path)

    def append(self, line: str) -> None:
        """Write a line, which ends in a line break. Raises DeviceError, for instance on a full disk."""
        self.make_room(line)
        data = line.encode()
        if self._file is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            try:
                written = self._file.write(data)
            except OSError as error:
                raise DeviceError(f"cannot write {self._path}: {error.strerror or error}") from error
            if written != len(data):
                raise DeviceError(f"cannot write {self._path}: the disk is full")
        self._size += len(data)

    def close(self) -> None:
        """Close the file, after its bytes have reached the disk. May be called twice."""
        if self._file is not None and not self._file.closed:
            with self._file, contextlib.suppress(OSError):  # pipes and devices have no disk to reach
                os.fsync(self._file.fileno())

    def _open(self, path: Path) -> FileIO:
        file = FileIO(path, "a")
        self._size = os.fstat(file.fileno()).st_size
        return file

    def _rotate(self, path: Path) -> None:
        self.close()
        for number in range(self._keep - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
        self._file = self._open(path)
