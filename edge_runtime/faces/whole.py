"""No detector: the picture is the face."""

from __future__ import annotations

from ..preprocess import AnyImage, as_image
from .detector import Face, FaceDetector


class WholeImage(FaceDetector):
    """Says that each image is one face, which fills it."""

    def detect(self, image: AnyImage) -> list[Face]:
        """One face: the whole image."""
        height, width = as_image(image).shape[:2]
        return [Face((0, 0, width, height))]

    def close(self) -> None:
        """Nothing to release."""
