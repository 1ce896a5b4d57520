"""What runs on both sides of an emulated board's comparison: on the board and, the same code, on this machine.

It classifies face crops on the path that the camera takes, and marks what icount.c is to count. As a program it reads
`model.tflite`, `crops.npz` and `request.json` beside it and prints one JSON document.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.classifier import EmotionClassifier
from ..edge_runtime.interpreter import open_runtime, runtime_version
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.metrics import softmax
from ..edge_runtime.preprocess import Image, prepare

FOLDER = Path("/work")
MARK = 0x1234
"""The `which` of getpriority that icount.c looks for; every kernel refuses it."""
SECTIONS = ("invoke", "predict")
"""What is counted: the runtime's `invoke` alone, and `EmotionClassifier.predict` from face crop to probabilities."""
WARM_UP = 20
"""Runs that are marked like the others but do not count: caches fill, the allocator settles."""


@dataclass(frozen=True)
class Request:
    """How to open the model, and how often to repeat what is counted. declared: in place of its own metadata."""

    declared: dict[str, Any] | None
    backend: str
    repeats: int

    @property
    def metadata(self) -> ModelMetadata | None:
        """The declared metadata."""
        return ModelMetadata.from_json(self.declared) if self.declared else None


def answer(model: bytes, crops: Sequence[Image], request: Request) -> dict[str, Any]:
    """Everything that is compared, JSON-ready: hash of the prepared pixels, logits, probabilities; and the versions."""
    with EmotionClassifier(model, metadata=request.metadata, backend=request.backend) as classifier:
        pixels = np.stack([prepare(crop, classifier.metadata.input) for crop in crops])
        logits = classifier.logits(pixels)
        return {
            "metadata": classifier.metadata.to_json(),
            "backend": classifier.backend,
            "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "logits": logits.tolist(),
            "probabilities": softmax(logits, classifier.metadata.temperature).tolist(),
            "versions": versions(classifier.backend),
        }


def versions(backend: str) -> dict[str, str]:
    """What may change a count or a result."""
    import cv2

    return {
        "python": platform.python_version(),
        "libc": "-".join(platform.libc_ver()),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        backend: runtime_version(backend),
    }


def count(model: bytes, crop: Image, request: Request) -> None:
    """Pass the marks of each section, WARM_UP + `repeats` times, without garbage collection."""
    backend, runtime = open_runtime(model, request.backend)
    with EmotionClassifier(model, metadata=request.metadata, backend=backend) as classifier:
        gc.collect()
        gc.disable()
        try:
            for section, work in enumerate((runtime.invoke, lambda: classifier.predict(crop))):
                _pass_marks(section, work, request.repeats)
        finally:
            gc.enable()


def _pass_marks(section: int, work: Callable[[], object], repeats: int) -> None:
    mark = ctypes.CDLL(None).getpriority
    begin, end = 2 * section, 2 * section + 1
    for _ in range(WARM_UP + repeats):
        mark(MARK, begin)
        work()
        mark(MARK, end)


def pack(crops: Sequence[Image]) -> bytes:
    """Crops of any size as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, *crops)
    return buffer.getvalue()


def unpack(content: bytes) -> list[Image]:
    """The inverse of `pack`."""
    with np.load(io.BytesIO(content)) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]


def main(folder: Path = FOLDER) -> None:
    """Answer the request in the folder on stdout."""
    model = (folder / "model.tflite").read_bytes()
    crops = unpack((folder / "crops.npz").read_bytes())
    request = Request(**json.loads((folder / "request.json").read_text()))
    count(model, crops[0], request)
    print(json.dumps(answer(model, crops, request)))


if __name__ == "__main__":
    main()
