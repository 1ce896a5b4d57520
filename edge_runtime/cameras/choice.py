"""From what the user typed to a camera."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ..console import printable
from ..errors import DeviceError, OptionError
from ..preprocess import IMAGE_SUFFIXES
from .camera import Camera
from .live import LiveCamera, Patience

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"})
PHONE_SUFFIXES = frozenset({".avif", ".heic", ".heif"})  # pictures, which most builds of OpenCV cannot read
URL = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
PICAMERA = re.compile(r"picamera(:\d+)?")
STREAM_PATIENCE = Patience(tries=3)  # over HTTP a wrong address and a lost camera look the same


def open_camera(
    source: str,
    *,
    colour: bool = False,
    size_wh: tuple[int, int] | None = None,
    fps: float | None = None,
    wait: bool = False,
) -> Camera:
    """The camera for `--source`: a device number, `picamera` (or `picamera:1`), a file, a folder, or a URL.

    colour: something shows the picture, so a camera that could give grey alone gives colour as well. size_wh and fps
    are asked of a camera. wait: a camera that is not there yet is waited for, and one that is lost for ever.
    Raises DeviceError when the source does not exist or refuses, OptionError for a URL that is malformed,
    RuntimeMissingError without picamera2.
    """
    check_source(source)
    if _is_usb(source):
        from .usb import UsbCapture

        device = Path(f"/dev/video{source}" if source.isdecimal() else source)
        return LiveCamera(source, partial(UsbCapture, device, size_wh, fps), wait=wait)
    if PICAMERA.fullmatch(source):
        from .picamera import PiCapture

        number = int(source.partition(":")[2] or 0)
        open_pi = partial(PiCapture, colour=colour, size_wh=size_wh, fps=fps, number=number)
        return LiveCamera(source, open_pi, wait=wait)
    if URL.match(source):
        return _open_url(source, wait)
    path = Path(source)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES | PHONE_SUFFIXES:
        from .image_folder import ImageFolder

        return ImageFolder(path)
    from .video_file import VideoFile

    return VideoFile(source)


def check_source(source: str) -> None:
    """Raise OptionError for a URL that is malformed, DeviceError for a path that is not there. Nothing is opened."""
    from .stream import without_password

    if not (URL.match(source) or is_live(source) or Path(source).exists()):
        shown = printable(without_password(source))  # also of a scheme that does not exist, such as rstp://
        raise DeviceError(f"source {shown} does not exist: a camera number (0), picamera, a video, a folder, or a URL")
    try:
        _ = urlsplit(source).port if URL.match(source) else None
    except ValueError as error:
        raise OptionError(
            f"{without_password(source)} has no valid host and port: write / ? # @ in a password as %2F %3F %23 %40"
        ) from error


def _open_url(url: str, wait: bool) -> Camera:
    from .stream import StreamCapture, without_password

    if _is_remote_file(url):
        from .video_file import VideoFile

        return VideoFile(url)
    patience = STREAM_PATIENCE if url.lower().startswith("http") and not wait else Patience()
    return LiveCamera(without_password(url), partial(StreamCapture, url), wait=wait, patience=patience)


def is_live(source: str) -> bool:
    """Whether a source runs in its own time: a camera or a stream, not a file, also not one behind a URL."""
    return (
        _is_usb(source) or bool(PICAMERA.fullmatch(source)) or (bool(URL.match(source)) and not _is_remote_file(source))
    )


def _is_usb(source: str) -> bool:
    path = Path(source)  # /dev/shm holds files and folders
    return source.isdecimal() or (source.startswith("/dev/") and not path.is_file() and not path.is_dir())


def _is_remote_file(url: str) -> bool:
    return url.lower().startswith("http") and Path(url.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES
