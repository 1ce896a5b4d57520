"""Rounding as an int8 file does it, in a network that trains: its weights learn to stand it (Jacob 2018, section 3).

Nothing is kept between steps. A tensor's range is that of the batch at hand, as the converter will take it from its
calibration images; gradients pass as if nothing had been rounded. So the variables are those of the plain network, in
the same order, and what is trained is saved, resumed and converted like any other.
"""

from __future__ import annotations

from typing import Any

from .folding import consumers

WEIGHT_STEPS, ACTIVATION_STEPS = 127, 255
"""Steps from zero to the largest weight either way (-128 is unused), and over an activation's whole range."""


def with_rounding(model: Any) -> Any:
    """A copy of a folded functional `keras.Model` that rounds kernels, and each activation that an int8 file stores.

    Convolution kernels are rounded by output channel, dense ones whole, as `convert` writes them. What goes into a ReLU
    alone is not stored: the ReLU is part of the operator before. The input is not rounded: pixels are 8 bits already.
    """
    import keras

    relu = keras.layers.ReLU
    stored = {
        layer.name
        for layer in model.layers
        if not consumers(model, layer) or not all(isinstance(after, relu) for after in consumers(model, layer))
    }

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.layers.InputLayer):
            return type(layer).from_config(layer.get_config())
        return _rounding(type(layer), layer.name in stored).from_config(layer.get_config())

    rounding = keras.models.clone_model(model, clone_function=copy)
    rounding.set_weights(model.get_weights())
    return rounding


def _rounding(kind: Any, stored: bool) -> Any:
    """A layer class like `kind` that rounds its kernel, if it has one, and its output, if it is stored."""
    import keras

    class Rounding(kind):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            outputs = super().call(inputs)
            return rounded_activations(outputs) if stored else outputs

    if not hasattr(kind, "kernel"):
        return Rounding

    class RoundingKernel(Rounding):
        @property
        def kernel(self) -> Any:
            return rounded_weights(super().kernel, per_channel=not issubclass(kind, keras.layers.Dense))

    return RoundingKernel


def rounded_weights(kernel: Any, per_channel: bool) -> Any:
    """A kernel on its int8 grid, symmetric about zero: a step for each output channel (last axis), or one for all."""
    from keras import ops

    axes = tuple(range(len(kernel.shape) - 1)) if per_channel else None
    return _to_grid(kernel, ops.max(ops.abs(kernel), axis=axes, keepdims=True) / WEIGHT_STEPS)


def rounded_activations(values: Any) -> Any:
    """An activation on an int8 grid over its range, zero included."""
    from keras import ops

    return _to_grid(values, (ops.maximum(ops.max(values), 0) - ops.minimum(ops.min(values), 0)) / ACTIVATION_STEPS)


def _to_grid(values: Any, step: Any) -> Any:
    from keras import ops

    step = ops.maximum(step, 1e-12)  # all zeros have no range
    return values + ops.stop_gradient(ops.round(values / step) * step - values)
