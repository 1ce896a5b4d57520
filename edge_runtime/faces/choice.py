"""From what the user typed to a face detector."""

from __future__ import annotations

from pathlib import Path

from ..console import note
from ..errors import ModelError, OptionError
from ..labels import nearest
from ..zoo import fetched
from .detector import FaceDetector

DETECTORS = ("auto", "blazeface", "haar", "yunet", "none")


def open_detector(name: str = "auto", *, backend: str = "auto", threads: int = 1) -> FaceDetector:
    """The detector for `--detector`: auto, blazeface, haar, yunet:PATH or none.

    `auto` takes BlazeFace when it has been fetched, else Haar, and says which in one line on stderr.
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
    blazeface = fetched("blazeface") if kind in ("auto", "blazeface") else None
    if blazeface is not None:
        from .blazeface import BlazeFace

        if kind == "auto":
            note("detector: blazeface")
        return BlazeFace(blazeface, backend=backend, threads=threads)
    if kind == "blazeface":
        raise ModelError("BlazeFace is not here yet: edge-emotion models fetch blazeface")
    from .haar import HaarDetector

    if kind == "auto":
        note("detector: haar (`edge-emotion models fetch blazeface` gets one that is ten times faster)")
    return HaarDetector()
