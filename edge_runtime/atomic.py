"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import EdgeEmotionError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name only ever holds the old or the whole new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path, option: str = "--out") -> None:
    """Make the folder and write a file in it, before hours of work are put there. Raises EdgeEmotionError.

    option: the one that names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EdgeEmotionError(
            f"cannot write to {folder}: {error.strerror or error}: name another with {option}"
        ) from error
