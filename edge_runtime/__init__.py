"""Device side of edge-emotion: find faces, classify their apparent expression, report it. No TensorFlow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import EmotionClassifier, Prediction
    from .errors import EdgeEmotionError
    from .metadata import InputSpec, ModelMetadata
    from .pipeline import Pipeline
    from .results import FrameResult, TrackedFace

__all__ = [
    "EdgeEmotionError",
    "EmotionClassifier",
    "FrameResult",
    "InputSpec",
    "ModelMetadata",
    "Pipeline",
    "Prediction",
    "TrackedFace",
]
_MODULES = {
    "EdgeEmotionError": "errors",
    "EmotionClassifier": "classifier",
    "FrameResult": "results",
    "InputSpec": "metadata",
    "ModelMetadata": "metadata",
    "Pipeline": "pipeline",
    "Prediction": "classifier",
    "TrackedFace": "results",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported on first use (PEP 562), so that `doctor` starts where OpenCV does not."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
