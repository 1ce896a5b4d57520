"""A text file of records, one a line: appended to, on disk at each, rotated at a size."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from io import FileIO
from pathlib import Path

from ..errors import OutputError

STDOUT = "-"


class RecordFile:
    """Appends whole lines to a file, or to stdout for `-`. Nothing is held back: a killed process loses no line.

    header: first line of each file, written with the first record. rotate_bytes: before it would grow past this size
    the file becomes `NAME.1`, the one before `NAME.2`, and so on; `keep` of them stay. 0 never rotates.
    """

    def __init__(self, target: str, *, header: str = "", rotate_bytes: int = 0, keep: int = 10) -> None:
        """Open for appending. A last line that was cut off, by a power failure say, is ended.

        Raises OutputError when the file cannot be written, or begins with another line than header.
        """
        self._path = None if target == STDOUT else Path(target)
        self._header = header
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._size = 0
        self._file: FileIO | None = None
        if self._path is not None:
            try:
                self._file = self._open(self._path)
                if self._size:
                    self._go_on(self._path)
            except OSError as error:
                raise self._refused(error) from error

    def append(self, line: str) -> None:
        """Write a line, which ends in a line break. Raises OutputError, for instance on a full disk."""
        if self._path is not None and 0 < self._rotate_bytes < self._size + len(line.encode()) and self._size:
            try:
                self._rotate(self._path)
            except OSError as error:
                raise self._refused(error) from error
        text = line if self._size else self._header + line  # stdout is new until the first line
        if self._file is None:
            _to_stdout(text)
            self._size += len(text)
        else:
            self._write(self._file, text.encode())

    def close(self) -> None:
        """Close the file, after its bytes have reached the disk. May be called twice."""
        if self._file is not None and not self._file.closed:
            with self._file, contextlib.suppress(OSError):  # pipes and devices have no disk to reach
                os.fsync(self._file.fileno())

    def _write(self, file: FileIO, data: bytes) -> None:
        try:
            written = file.write(data)
            if written != len(data):
                file.truncate(file.tell() - written)  # no torn line
                raise OutputError(f"cannot write {self._path}: the disk is full")
        except OSError as error:
            raise self._refused(error) from error
        self._size += len(data)

    def _go_on(self, path: Path) -> None:
        """Behind what an earlier run wrote."""
        with path.open("rb") as before:
            first = before.readline()
            before.seek(-1, os.SEEK_END)
            last = before.read()
        if self._header and first.rstrip(b"\r\n") != self._header.encode().rstrip():
            self.close()
            raise OutputError(
                f"{path} has other columns than this run would write (other labels, --aggregate, or no header): "
                "give another file, or move it away"
            )
        if last != b"\n" and self._file is not None:
            self._write(self._file, b"\n")

    def _open(self, path: Path) -> FileIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(path, "a")
        self._size = os.fstat(file.fileno()).st_size
        return file

    def _rotate(self, path: Path) -> None:
        """Begin a new file, also where somebody has moved or removed the old one: then there is nothing to rename."""
        is_there = self._is_at(path)
        self.close()
        if is_there:
            for number in range(self._keep - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number + 1}"))
            path.replace(path.with_name(f"{path.name}.1"))
        self._file = self._open(path)

    def _is_at(self, path: Path) -> bool:
        return self._file is not None and path.exists() and os.path.samestat(path.stat(), os.fstat(self._file.fileno()))

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}")


def _to_stdout(text: str) -> None:
    """Past the lock of `sys.stdout`, for which the end of the program would wait while nobody reads."""
    try:
        descriptor = sys.stdout.fileno()
    except io.UnsupportedOperation:  # captured by a test or an embedding program
        sys.stdout.write(text)
        return
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]
