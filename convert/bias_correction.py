"""Rounded weights shift the mean of what a layer gives; its bias takes that shift back.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2, with the
mean inputs measured on the calibration images. Where a convolution pads, its border is taken for inside.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from .activations import Activations
from .editing import EditableGraph

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": None}
"""Operator → axis of its weights with one scale an entry; None: one scale for all, as every runtime can run it."""

LEVELS = 127
"""Weights are rounded to ±127 steps: symmetric, without −128."""


def round_weights(weights: NDArray[np.float32], axis: int | None) -> NDArray[np.float64]:
    """The real values of weights rounded as int8, one scale for each entry along the axis, or one for all.

    >>> round_weights(np.array([[127.0, 0.4], [254.0, 1.2]], np.float32), 0)
    array([[127.,   0.],
           [254.,   2.]])
    """
    exact = weights.astype(np.float64)
    others = None if axis is None else tuple(i for i in range(exact.ndim) if i != axis)
    scale = np.abs(exact).max(axis=others, keepdims=True) / LEVELS
    return np.asarray(np.rint(exact / np.where(scale > 0, scale, 1.0)) * scale)


def mean_shift(operator: str, weights: NDArray[np.float32], mean_input: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far rounding the weights moves the mean of each output channel, float64 (outputs,).

    weights: as TFLite keeps them, `CONV_2D` (out, h, w, in a group), `DEPTHWISE_CONV_2D` (1, h, w, out),
    `FULLY_CONNECTED` (out, in). mean_input: mean of each input channel, (in,).
    """
    error = round_weights(weights, CHANNEL_AXIS[operator]) - weights
    if operator == "DEPTHWISE_CONV_2D":
        per_output = np.repeat(mean_input, weights.shape[3] // len(mean_input))
        return np.asarray(error.sum(axis=(0, 1, 2)) * per_output)
    width = min(weights.shape[-1], len(mean_input))  # of a group; a dense layer may take places and channels as one row
    by_input, groups = error.reshape(len(error), -1, width).sum(axis=1), len(mean_input) // width
    blocks = zip(np.split(by_input, groups), np.split(mean_input, groups), strict=True)
    return np.concatenate([block @ mean for block, mean in blocks])


def correct_biases(graph: EditableGraph, activations: Activations, kept_float: Collection[str] = ()) -> None:
    """Take the mean shift of every layer with constant weights and a bias off that bias.

    kept_float: names of output tensors of the operators that are not going to be quantised.
    """
    for op in graph.graph.operators:
        if op.name not in CHANNEL_AXIS or len(op.inputs) < 3 or graph.graph.tensors[op.outputs[0]].name in kept_float:
            continue
        weights, bias = graph.constant(op.inputs[1]), graph.constant(op.inputs[2])
        mean_input = activations.means.get(op.inputs[0])
        if weights is not None and bias is not None and mean_input is not None:
            shift = mean_shift(op.name, weights, mean_input)
            graph.set_constant(op, 2, (bias - shift).astype(np.float32))
