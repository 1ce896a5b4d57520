"""Start a training from the weights of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.errors import ModelError, OptionError
from ..edge_runtime.labels import nearest
from ..edge_runtime.metadata import ModelMetadata
from .keras_model import KerasClassifier

SOURCES = Path(__file__).parent / "models"
"""Keras sources of the bundled models. They are in the repository, not in the wheel."""


def resolve_source(model: str) -> Path:
    """A `.keras` path as given, or the source of the bundled model of that name. Raises ModelError."""
    path = Path(model)
    if path.suffix or path.exists():
        return path
    known = {source.stem: source for source in sorted(SOURCES.glob("*.keras"))}
    if model in known:
        return known[model]
    hint = nearest(model, tuple(known)) if known else "the sources of the bundled models are in the repository only"
    raise ModelError(f"no model {model!r} to start from: {hint}")


def transfer(model: Any, classes: tuple[str, ...], source: KerasClassifier) -> list[str]:
    """Copy weights into a network of the same architecture; returns the classes whose outputs start anew.

    The output layer's columns go by class name, so the classes may be others or in another order.
    Raises OptionError when the architectures differ.
    """
    labels = source.metadata.labels
    layers = {layer.name: layer for layer in source.model.layers}
    for layer in model.layers:
        old = layers[layer.name].get_weights() if layer.name in layers else []
        new = layer.get_weights()
        if layer is model.layers[-1]:
            for mine, theirs in zip(new, old, strict=False):
                if mine.shape[:-1] != theirs.shape[:-1]:
                    break
                for i, name in enumerate(classes):
                    if name in labels:
                        mine[..., i] = theirs[..., labels.index(name)]
            else:
                layer.set_weights(new)
                continue
        if [w.shape for w in old] != [w.shape for w in new]:
            name = source.metadata.name or "the model"
            raise OptionError(f"{name} has another architecture: layer {layer.name!r} does not fit")
        layer.set_weights([np.asarray(w) for w in old])
    return [name for name in classes if name not in labels]


def read_metadata(path: Path) -> ModelMetadata:
    """The metadata of a `.keras` file to start from. Raises ModelError when it is missing or has none."""
    from ..edge_runtime import metadata

    if not path.exists():
        raise ModelError(f"model {path} does not exist")
    found = metadata.read(path)
    if found is None:
        raise ModelError(f"{path} does not say how it was trained: start from a model that edge-emotion trained")
    return found
