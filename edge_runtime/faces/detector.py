"""The face detector seam."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from ..preprocess import Image, crop_face


@dataclass(frozen=True)
class Face:
    """A face in an image: box in whole pixels (left, top, width, height), which may leave the image; score 0 to 1.

    keypoints: (x, y) pixels of right eye, left eye (the subject's), and whatever else the detector gives; may be empty.
    """

    box_xywh: tuple[int, int, int, int]
    score: float = 1.0
    keypoints: tuple[tuple[float, float], ...] = ()


class FaceDetector(Protocol):
    """Finds faces. A context manager, which an implementation gets by naming this class as its base."""

    def detect(self, image: Image) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first."""
        ...

    def close(self) -> None:
        """Release native memory."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def crop(image: Image, face: Face, margin: float) -> Image:
    """The pixels to classify: the square around the face, widened by `margin` of its longer side.

    A face that is the whole image stays as it is: there is nothing around it.
    """
    if face.box_xywh == (0, 0, image.shape[1], image.shape[0]):
        return image
    return crop_face(image, face.box_xywh, margin)
