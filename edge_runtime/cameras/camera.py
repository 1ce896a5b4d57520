"""The camera seam."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from ..preprocess import Image


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture from a camera, uint8.

    image: what is searched and classified, (H, W) grey or (H, W, 3) BGR. index counts from 0. time_s: media time for
    files, else seconds since the camera was opened; it never falls. colour: BGR of the same size where `image` is grey
    and something shows it. name: the file this frame is, when it is one of several. cut: nothing carries over from the
    frame before (another photo, a camera that came back), so tracks and smoothing start anew.

    The arrays are never written to again: outputs and the frame after this one still look at them.
    """

    image: Image
    index: int
    time_s: float
    colour: Image | None = None
    name: str = ""
    cut: bool = False

    @property
    def picture(self) -> Image:
        """What people are shown: colour where there is any."""
        return self.image if self.colour is None else self.colour


class Camera(Protocol):
    """Gives frames, one at a time. A context manager."""

    source: str
    """What the user named: a device number, a path, a URL."""
    live: bool
    """Whether frames come in their own time, so that a slow reader must skip some."""
    fps: float
    """Nominal frames a second; 0 when unknown."""

    def read(self) -> Frame | None:
        """The next frame (of a live camera the newest, waiting for it), or None when there are no more.

        Raises DeviceError when the camera fails for good.
        """
        ...

    def stop(self) -> None:
        """Make a waiting `read` return None soon. Safe in a signal handler and from other threads."""
        return None

    def close(self) -> None:
        """Release the device. `read` is not called afterwards."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
