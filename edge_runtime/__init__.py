"""Device side of edge-emotion: find faces, classify their apparent expression, report it. No TensorFlow."""

from .classifier import EmotionClassifier, Prediction
from .errors import EdgeEmotionError
from .metadata import InputSpec, ModelMetadata

__all__ = ["EdgeEmotionError", "EmotionClassifier", "InputSpec", "ModelMetadata", "Prediction"]
