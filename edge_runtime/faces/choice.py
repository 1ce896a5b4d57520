"""From what the user typed to a face detector."""

from __future__ import annotations

from ..errors import OptionError
from ..labels import nearest
from .detector import FaceDetector

DETECTORS = ("auto", "blazeface", "haar", "yunet", "none")


def open_detector(name: str = "auto") -> FaceDetector:
    """The detector for `--detector`: auto, blazeface, haar, yunet:PATH or none.

    Raises OptionError for another name, DeviceError or ModelError when the detector cannot be opened.
    """
    kind = name.partition(":")[0]
    if kind == "none":
        from .whole import WholeImage

        return WholeImage()
    if kind in ("auto", "haar"):
        from .haar import HaarDetector

        return HaarDetector()
    raise OptionError(f"unknown detector {name!r}: {nearest(kind, DETECTORS)}")
