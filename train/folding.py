"""Batch normalisation folded into the convolutions before it, as a converter does once a network has learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..edge_runtime.errors import OptionError


def fold(model: Any) -> Any:
    """A copy of a functional `keras.Model` without batch normalisation that infers the same.

    Convolutions get the normalisation's scale in their kernels and its shift as their bias; names stay. Raises
    OptionError where a normalisation does not directly follow a convolution of its own, without activation.
    """
    import keras

    sources = {layer.name: _convolution_before(model, layer) for layer in model.layers if is_normalisation(layer)}
    folding = {convolution.name for convolution in sources.values()}

    def copy(layer: Any) -> Any:
        bias = {"use_bias": True} if layer.name in folding else {}
        return type(layer).from_config({**layer.get_config(), **bias})

    def call(layer: Any, inputs: Any, **kwargs: Any) -> Any:
        return inputs if layer.name in sources else layer(inputs, **kwargs)

    folded = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in folded.layers:
        if layer.weights and layer.name not in folding:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for name, convolution in sources.items():
        kernel, *bias = convolution.get_weights()
        scale, shift = _scale_and_shift(model.get_layer(name))
        folded.get_layer(convolution.name).set_weights([kernel * scale, sum(bias) * scale + shift])
    return folded


def is_normalisation(layer: Any) -> bool:
    """Whether a layer is batch normalisation."""
    import keras

    return isinstance(layer, keras.layers.BatchNormalization)


def consumers(model: Any, layer: Any) -> list[Any]:
    """The layers of a functional `keras.Model` that take a layer's output."""
    import keras

    return [
        other
        for other in model.layers
        if other is not layer and any(tensor is layer.output for tensor in keras.tree.flatten(other.input))
    ]


def _convolution_before(model: Any, normalisation: Any) -> Any:
    import keras

    for layer in model.layers:
        if layer.output is normalisation.input:
            linear = isinstance(layer, keras.layers.Conv2D) and layer.activation is keras.activations.linear
            if linear and consumers(model, layer) == [normalisation]:
                return layer
    raise OptionError(
        f"the normalisation {normalisation.name!r} does not directly follow a convolution, so this network cannot be "
        "folded for --qat: it is for the edge presets"
    )


def _scale_and_shift(normalisation: Any) -> tuple[Any, Any]:
    gamma, beta, mean, variance = (np.asarray(weight) for weight in normalisation.get_weights())
    scale = gamma / np.sqrt(variance + normalisation.epsilon)
    return scale, beta - mean * scale
