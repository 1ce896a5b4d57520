"""The face detector seam."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from ..preprocess import AnyImage


@dataclass(frozen=True)
class Face:
    """A face in an image: box in whole pixels (left, top, width, height), which may leave the image; score 0 to 1.

    keypoints: (x, y) pixels of right eye, left eye (the subject's), and whatever else the detector gives; may be empty.
    """

    box_xywh: tuple[int, int, int, int]
    score: float = 1.0
    keypoints: tuple[tuple[float, float], ...] = ()

    @property
    def roll_deg(self) -> float:
        """How far the eyes' line leans, clockwise positive, −180 to 180; 0 without keypoints."""
        if len(self.keypoints) < 2:
            return 0.0
        (right_x, right_y), (left_x, left_y) = self.keypoints[:2]
        return math.degrees(math.atan2(left_y - right_y, left_x - right_x))


class FaceDetector(Protocol):
    """Finds faces. A context manager, which an implementation gets by naming this class as its base."""

    stride: int = 1
    """How many frames of a file go by between two searches when nobody asks for another number: above 1 if slow."""

    def detect(self, image: AnyImage) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first.

        Raises ImageError for what is no such array. Those here may be called from several threads, which take turns.
        """
        ...

    def close(self) -> None:
        """Release native memory."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
