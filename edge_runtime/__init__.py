"""Device side of edge-emotion: find faces, classify their apparent expression, report it. No TensorFlow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import EmotionClassifier, Prediction
    from .errors import (
        DeviceError,
        EdgeEmotionError,
        ImageError,
        ModelError,
        OptionError,
        OutputError,
        RuntimeMissingError,
    )
    from .metadata import InputSpec, ModelMetadata
    from .pipeline import Pipeline
    from .preprocess import read_image
    from .results import FrameResult, TrackedFace
    from .run_config import RunConfig

__all__ = [
    "DeviceError",
    "EdgeEmotionError",
    "EmotionClassifier",
    "FrameResult",
    "ImageError",
    "InputSpec",
    "ModelError",
    "ModelMetadata",
    "OptionError",
    "OutputError",
    "Pipeline",
    "Prediction",
    "RunConfig",
    "RuntimeMissingError",
    "TrackedFace",
    "read_image",
]
_MODULES = {
    "DeviceError": "errors",
    "EdgeEmotionError": "errors",
    "EmotionClassifier": "classifier",
    "FrameResult": "results",
    "ImageError": "errors",
    "InputSpec": "metadata",
    "ModelError": "errors",
    "ModelMetadata": "metadata",
    "OptionError": "errors",
    "OutputError": "errors",
    "Pipeline": "pipeline",
    "Prediction": "classifier",
    "RunConfig": "run_config",
    "RuntimeMissingError": "errors",
    "TrackedFace": "results",
    "read_image": "preprocess",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported on first use (PEP 562), so that `doctor` starts where OpenCV does not."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
