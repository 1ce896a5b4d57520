"""Face detection: one Protocol, one file per detector."""

from .choice import open_detector
from .crop import crop
from .detector import Face, FaceDetector

__all__ = ["Face", "FaceDetector", "crop", "open_detector"]
