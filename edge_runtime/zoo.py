"""Bundled model files, and the rule that turns what a user typed into a path."""

from __future__ import annotations

from pathlib import Path

from .errors import ModelError
from .labels import nearest

BUNDLED = Path(__file__).parent / "models"


def bundled_models() -> dict[str, Path]:
    """Name → file of each bundled model. `edge-m` is the int8 file `edge-m.tflite`, `edge-m-float16` says so."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.tflite"))}


def resolve(model: Path | str) -> Path:
    """A path as given when it exists, else the bundled model of that name. Raises ModelError naming the nearest."""
    path = Path(model)
    if path.exists():
        return path
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    known = f"; bundled: {nearest(str(model), tuple(bundled))}" if bundled else ""
    raise ModelError(f"model {model} does not exist{known}")
