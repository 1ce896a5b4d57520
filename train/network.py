"""The network of a run, and the weights it starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..edge_runtime.errors import OptionError
from .config import TrainConfig
from .folding import fold, is_normalisation
from .keras_model import KerasClassifier
from .layers import Layers, training_layers
from .rounding import with_rounding
from .transfer import transfer


def network(config: TrainConfig, dtype: str = "float32", kit: Layers | None = None) -> Any:
    """The network of a run as it is saved, a `keras.Model`; with `qat` it is folded. kit: as architectures take it.

    Raises OptionError for an architecture that the input is too small for.
    """
    try:
        model = config.preset.architecture.build(config.preset.input, len(config.classes), dtype, kit)
    except ValueError as error:
        raise OptionError(f"this architecture cannot be built for {config.preset.input.shape}: {error}") from error
    return fold(model) if config.qat else model


def training_network(config: TrainConfig) -> Any:
    """The same network as it is trained, with the same variables in the same order: at its precision, rounding."""
    model = network(config, config.precision, training_layers())
    return with_rounding(model) if config.qat else model


def starting_point(config: TrainConfig, initial: Path) -> Any:
    """The network of a run with the weights of a `.keras` file. Raises OptionError where it does not fit."""
    source = KerasClassifier.open(initial)
    theirs, ours = source.metadata.input, config.preset.input
    if (theirs.low, theirs.high) != (ours.low, ours.high):  # weights say nothing of the range they were trained on
        raise OptionError(
            f"{initial} takes pixels from {theirs.low:g} to {theirs.high:g}, this run from {ours.low:g} to "
            f"{ours.high:g}: --set input.low={theirs.low!r} --set input.high={theirs.high!r}, or leave --preset out"
        )
    to_fold = config.qat and any(map(is_normalisation, source.model.layers))
    model = network(replace(config, qat=False) if to_fold else config)
    unknown = transfer(model, config.classes, source)
    if config.qat and unknown:
        raise OptionError(f"--qat goes on with what a model knows, and not with {', '.join(unknown)}: train that first")
    return fold(model) if to_fold else model
