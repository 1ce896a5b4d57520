"""Still pictures: a folder of them, or one file."""

from __future__ import annotations

from pathlib import Path

from ..console import note, printable, quiet_opencv
from ..errors import DeviceError, ImageError
from ..leftovers import pictures_in
from ..preprocess import read_image
from .camera import Camera, Frame


class ImageFolder(Camera):
    """Each picture of a folder, by name; pictures are unrelated, so every frame is a cut. Unreadable ones are named."""

    live = False
    fps = 0.0

    def __init__(self, path: Path) -> None:
        """List the pictures. Raises DeviceError when there are none."""
        self.source = printable(path)
        try:
            self._paths = pictures_in(path) if path.is_dir() else [path]
        except ImageError as error:
            raise DeviceError(str(error)) from error
        quiet_opencv()
        self._next = 0
        self._given = 0

    def read(self) -> Frame | None:
        """The next picture that can be read, or None at the end; time_s counts pictures, one a second."""
        while self._next < len(self._paths):
            path = self._paths[self._next]
            self._next += 1
            try:
                image = read_image(path)
            except ImageError as error:
                note(f"skipped: {error}")
                continue
            self._given += 1
            return Frame(image, self._given - 1, float(self._given - 1), name=printable(path), cut=True)
        if not self._given:
            raise DeviceError(f"none of the {len(self._paths)} pictures of {self.source} can be read")
        return None

    def close(self) -> None:
        """Nothing to release."""
