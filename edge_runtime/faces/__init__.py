"""Face detection: one Protocol, one file per detector."""

from .choice import open_detector
from .detector import Face, FaceDetector, crop

__all__ = ["Face", "FaceDetector", "crop", "open_detector"]
