"""Start a training from the weights of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.errors import ModelError, OptionError
from ..edge_runtime.labels import nearest
from ..edge_runtime.metadata import ModelMetadata
from .keras_model import KerasClassifier

SOURCES = (Path(__file__).parent / "models", Path("train", "models"))
"""Folders of the Keras sources of the bundled models, the first one first, the second below the working directory:
they are in the repository, not in the wheel."""


def resolve_source(model: str) -> Path:
    """A `.keras` path as given, or the source of the bundled model of that name. Raises ModelError."""
    path = Path(model)
    if path.suffix or path.exists():
        return path
    known = {source.stem: source for folder in reversed(SOURCES) for source in sorted(folder.glob("*.keras"))}
    if model in known:
        return known[model]
    nowhere = (
        f"the bundled models' sources are in the repository only: go there, or name its {SOURCES[-1] / model}.keras"
    )
    hint = nearest(model, tuple(known)) if known else nowhere
    raise ModelError(f"no model {model!r} to start from: {hint}")


def transfer(model: Any, classes: tuple[str, ...], source: KerasClassifier) -> list[str]:
    """Copy weights into a network of the same architecture; returns the classes whose outputs start anew.

    The output layer's columns go by class name, upper and lower case the same, so the classes may be others or in
    another order. Raises OptionError when the architectures differ.
    """
    columns, head = {name.lower(): i for i, name in enumerate(source.metadata.labels)}, model.layers[-1]
    learnt = {layer.name: layer.get_weights() for layer in source.model.layers}
    unlike = f"{source.metadata.name or 'the model'} has another architecture: layer"
    for layer in model.layers:
        old, new = learnt.pop(layer.name, []), layer.get_weights()
        axes = slice(-1) if layer is head else slice(None)  # the output layer's last axis is its classes
        if [w.shape[axes] for w in old] != [w.shape[axes] for w in new]:
            raise OptionError(f"{unlike} {layer.name!r} does not fit")
        if layer is head:
            for mine, theirs in zip(new, old, strict=True):
                for i, name in enumerate(classes):
                    if name.lower() in columns:
                        mine[..., i] = theirs[..., columns[name.lower()]]
            old = new
        layer.set_weights(old)
    for name, weights in learnt.items():
        if weights:
            raise OptionError(f"{unlike} {name!r} has no counterpart")
    return [name for name in classes if name.lower() not in columns]


def read_metadata(path: Path) -> ModelMetadata:
    """The metadata of a `.keras` file to start from. Raises ModelError when it is missing or has none."""
    if not path.exists():
        raise ModelError(f"model {path} does not exist")
    found = model_metadata.read(path)
    if found is None:
        raise ModelError(f"{path} does not say how it was trained: start from a model that edge-emotion trained")
    return found
