"""Device side of edge-emotion: find faces, classify their apparent expression, report it. No TensorFlow."""

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
