"""From what the user typed to a camera."""

from __future__ import annotations

from pathlib import Path

from ..errors import DeviceError
from ..preprocess import IMAGE_SUFFIXES
from .camera import Camera


def open_camera(source: str, *, colour: bool = False) -> Camera:
    """The camera for `--source`: a device number, `picamera`, a file, a folder, or a URL.

    colour: something shows the picture, so a camera that could give grey alone gives colour as well.
    Raises DeviceError when the source does not exist or refuses.
    """
    path = Path(source)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        from .image_folder import ImageFolder

        return ImageFolder(path)
    if path.is_file():
        from .video_file import VideoFile

        return VideoFile(path)
    raise DeviceError(f"source {source!r} does not exist: a camera number (0), picamera, a video, a folder, or a URL")
