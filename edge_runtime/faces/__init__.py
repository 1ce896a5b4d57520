"""Face detection: one Protocol, one file per detector."""

from .detector import Face, FaceDetector

__all__ = ["Face", "FaceDetector"]
