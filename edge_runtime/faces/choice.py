"""From what the user typed to a face detector."""

from __future__ import annotations

from pathlib import Path

from .. import zoo
from ..errors import OptionError
from ..labels import nearest
from .detector import FaceDetector

DETECTORS = ("auto", "blazeface", "blazeface-full", "haar", "yunet", "none")


def open_detector(name: str = "auto", *, backend: str = "auto", threads: int = 1) -> FaceDetector:
    """The detector for `--detector`: blazeface, which is also `auto`, blazeface-full, haar, yunet:PATH or none.

    Raises OptionError for another name, DeviceError or ModelError when the detector cannot be opened.
    """
    kind, _, path = name.partition(":")
    if kind not in DETECTORS:
        raise OptionError(f"unknown detector {name!r}: {nearest(kind, DETECTORS)}")
    if path and kind != "yunet":
        raise OptionError(f"--detector {kind} takes no file, got {name!r}: only yunet:PATH does")
    if kind == "none":
        from .whole import WholeImage

        return WholeImage()
    if kind == "yunet":
        from .yunet import YuNet

        if not path:
            raise OptionError("--detector yunet needs its ONNX file: --detector yunet:PATH")
        return YuNet(Path(path))
    if kind == "haar":
        from .haar import HaarDetector

        return HaarDetector()
    from .blazeface import BlazeFace

    return BlazeFace(zoo.located("blazeface" if kind == "auto" else kind), backend=backend, threads=threads)
