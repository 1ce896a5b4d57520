"""Models whose right answers are known, and data to go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.metadata import InputSpec, ModelMetadata
from edge_emotion.edge_runtime.preprocess import Pixels

LABELS = ("dark", "grey", "bright")
SPEC = InputSpec(8, 8)
MODELS = Path(__file__).parents[1] / "models"


def shades(name: str, per_class: int, seed: int, classes: tuple[str, ...] = LABELS) -> Split:
    """Images 8×8 of three brightness levels with noise; the first pixel is always black."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(classes)), per_class)
    levels = np.array([40.0, 128.0, 215.0])[labels]
    images = np.clip(rng.normal(levels[:, None, None, None], 12, (len(labels), 8, 8, 1)), 0, 255).astype(np.uint8)
    images[:, 0, 0] = 0
    files = tuple(f"{name}/{classes[label]}/{i:04}.png" for i, label in enumerate(labels))
    return Split(name, classes, images, labels.astype(np.int64), files)


@pytest.fixture
def validation() -> Split:
    return shades("validation", 40, 1)


@pytest.fixture
def training() -> Split:
    return shades("train", 60, 2)


@pytest.fixture
def declared() -> ModelMetadata:
    return ModelMetadata(LABELS, SPEC, name="shades")


def random_images(n: int, spec: InputSpec, low: int = 0, high: int = 256) -> Pixels:
    """Images (n, H, W, C) uint8 of independent pixels from `low` to below `high`, the same at every call."""
    return np.random.default_rng(n).integers(low, high, (n, *spec.shape), np.uint8)


def dense_kernel(wild: float = 0.0) -> Any:
    """Kernel (64, 3) of the logits dark −8m, grey 0, bright 8m of the mean brightness m; `wild` weighs the black pixel.

    With a wild weight one int8 scale for the whole kernel rounds all others to zero, so that only the bias is left.
    """
    kernel = np.repeat(np.array([[-8.0, 0.0, 8.0]], np.float32) / 63, 64, axis=0)
    kernel[0] = (wild, 0, 0)
    return kernel


BIAS = np.array([2.8, 0.6, -5.2], np.float32)


@pytest.fixture(scope="session")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Save the brightness network with a given wild weight as `.keras`, without metadata."""
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    from edge_emotion.train.keras_model import import_keras

    keras = import_keras()
    folder = tmp_path_factory.mktemp("keras")

    def make(wild: float = 0.0) -> Path:
        path = folder / f"shades-{wild:g}.keras"
        if not path.exists():
            inputs = keras.Input((8, 8, 1), name="image")
            outputs = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(inputs))
            model = keras.Model(inputs, outputs, name="shades")
            model.set_weights([dense_kernel(wild), BIAS])
            model.save(path)
        return path

    return make
