"""The face detector seam."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from ..preprocess import Image


@dataclass(frozen=True)
class Face:
    """A face in an image: box in whole pixels (left, top, width, height), which may leave the image; score 0 to 1.

    keypoints: (x, y) pixels of right eye, left eye (the subject's), and whatever else the detector gives; may be empty.
    """

    box_xywh: tuple[int, int, int, int]
    score: float = 1.0
    keypoints: tuple[tuple[float, float], ...] = ()


class FaceDetector(Protocol):
    """Finds faces. A context manager; `close` releases what it holds."""

    def detect(self, image: Image) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first."""
        ...

    def close(self) -> None:
        """Release native memory."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
