"""Keras models on disk: load them safely, save them so that any backend can load them, classify with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.console import quiet_native
from ..edge_runtime.errors import ModelError, OptionError, RuntimeMissingError
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Pixels, normalise

BATCH = 256
BACKENDS = ("tensorflow", "jax", "torch")
"""What Keras can train on, the first choice first."""


def import_keras() -> Any:
    """Keras on $KERAS_BACKEND, else on the first of BACKENDS that is installed.

    Raises OptionError for a backend that is none of these, RuntimeMissingError when Keras or every backend is missing.
    """
    from importlib.util import find_spec

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if find_spec("keras") is None:
        raise RuntimeMissingError.of_extra("train", "Keras is not installed")
    backend = os.environ.get("KERAS_BACKEND") or next((name for name in BACKENDS if find_spec(name)), None)
    if backend is None:
        raise RuntimeMissingError.of_extra("train", "Keras has no backend, such as TensorFlow")
    if backend not in BACKENDS:
        raise OptionError(f"KERAS_BACKEND must be {' or '.join(BACKENDS)}, got {backend!r}")
    os.environ["KERAS_BACKEND"] = backend
    try:
        with quiet_native():
            import keras
    except ImportError as error:
        others = " or ".join(name for name in BACKENDS if name != backend)
        raise RuntimeMissingError(
            f"the Keras backend {backend!r} cannot be imported ({error}): install it, or set KERAS_BACKEND to {others}"
        ) from error
    return keras


def load(path: Path) -> Any:
    """A `keras.Model` from a `.keras` file, without optimiser. Code inside the file is never executed.

    Raises ModelError: missing, `.h5` (outside Keras's safe mode), custom code, or not a Keras file.
    """
    if not path.exists():
        raise ModelError(f"model {path} does not exist")
    refuse_h5(path)
    if path.suffix != ".keras":
        raise ModelError(f"{path} is not a .keras file")
    keras = import_keras()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, KeyError, zipfile errors, …
        text = str(error).replace("\n", " ")
        reason = (
            "it holds custom code, which is never executed"
            if _is_custom_code(text)
            else "it is not a whole Keras 3 model"
        )
        raise ModelError(f"cannot load {path}: {reason} ({text[:160]})") from error


def refuse_h5(path: Path) -> None:
    """Raise ModelError for the format before `.keras`, which is outside Keras's safe mode."""
    if path.suffix in (".h5", ".hdf5"):
        raise ModelError(f"{path}: .h5 files can run code when loaded and are refused: save it again as .keras")


def save(model: Any, path: Path, metadata: ModelMetadata) -> None:
    """Save without optimiser, with the metadata inside, so that `path` only ever holds a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.keras")
    try:
        model.save(partial)
        model_metadata.embed_in_keras(partial, metadata)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class KerasClassifier:
    """A Keras model behind the same face as the TFLite classifier: prepared uint8 pixels in, logits out."""

    def __init__(self, model: Any, metadata: ModelMetadata) -> None:
        self.model = model
        self.metadata = metadata

    @classmethod
    def open(cls, path: Path) -> KerasClassifier:
        """Load a `.keras` file that carries metadata. Raises ModelError when it cannot, or has none."""
        metadata = model_metadata.read(path) if path.exists() and path.suffix == ".keras" else None
        model = load(path)
        if metadata is None:
            raise ModelError(f"{path} says nothing of its labels and input: train it with edge-emotion")
        classes = model.output_shape[-1]
        if classes != len(metadata.labels):
            raise ModelError(f"{path} has {classes} outputs but {len(metadata.labels)} labels")
        return cls(model, metadata)

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Logits, float32 (N, classes), of uint8 pixels (N, H, W, C)."""
        import keras

        parts = []
        for start in range(0, len(pixels), BATCH):
            values = normalise(pixels[start : start + BATCH], self.metadata.input)
            parts.append(keras.ops.convert_to_numpy(self.model.predict_on_batch(values)))
        if not parts:
            return np.zeros((0, len(self.metadata.labels)), np.float32)
        return np.concatenate(parts).astype(np.float32)

    def close(self) -> None:
        """Nothing to release: Keras holds the model as long as anyone does."""


def _is_custom_code(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in ("lambda", "unsafe", "could not locate", "register_keras_serializable"))
