"""Ranges chosen by what the next operator can see, so that int8's 256 steps are not spent on values that are lost.

A sum that ends in a ReLU6 shows nothing of a summand under −6, and little of one that the other cancels; a softmax
shows nothing of the lowest logits. Measured on a residual network: the summands alone, at their full ranges, made more
than half of all the noise of its int8 file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..edge_runtime.metadata import InputSpec
from ..edge_runtime.metrics import softmax
from .activations import Activations
from .editing import EditableGraph
from .graph import Floats

Span = tuple[float, float]

ACTIVATION_STEPS = 255
SHARES = np.linspace(0.2, 1.0, 17)
"""Of the calibrated minimum and of the maximum, those tried."""

SUMMANDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose output range is their own to choose; a pooling, say, must keep that of its input."""

RECTIFIERS: dict[str, Callable[[Floats], Floats]] = {
    "NONE": lambda x: x,
    "RELU": lambda x: np.maximum(x, np.float32(0)),
    "RELU6": lambda x: np.clip(x, np.float32(0), np.float32(6)),
    "RELU_N1_TO_1": lambda x: np.clip(x, np.float32(-1), np.float32(1)),
}


def round_to_steps(values: Floats, low: float, high: float) -> Floats:
    """The values as an int8 tensor of this range holds them: 255 steps, zero one of them, the rest clipped.

    >>> round_to_steps(np.array([-9.0, 0.2, 1.6], np.float32), -128.0, 127.0)
    array([-9.,  0.,  2.], dtype=float32)
    """
    scale = (high - low) / ACTIVATION_STEPS
    zero = np.rint(-low / scale)
    return np.asarray((np.clip(np.rint(values / scale) + zero, 0, ACTIVATION_STEPS) - zero) * scale, np.float32)


def best_range(values: Floats, full: Span, seen: Callable[[Floats], Floats]) -> Span:
    """The range inside the full one whose rounding changes what is seen of the values least (mean square).

    seen: what becomes of the values, elementwise or over the last axis. Ties go to the wider range.
    """
    exact = seen(values)

    def loss(span: Span) -> float:
        return float(np.mean(np.square(seen(round_to_steps(values, *span)) - exact), dtype=np.float64))

    low, high = min(full[0], 0.0), max(full[1], 0.0)
    spans = dict.fromkeys((low * a, high * b) for a in SHARES[::-1] for b in SHARES[::-1])
    return min((span for span in spans if span[0] < span[1]), key=loss, default=full)


def fix_input_range(graph: EditableGraph, spec: InputSpec) -> None:
    """Give the input the range that pixels can have: a pixel is one step, whatever the calibration images hold."""
    graph.set_range(graph.graph.inputs[0], spec.low, spec.high)


def narrow_summands(graph: EditableGraph, activations: Activations) -> None:
    """Narrow each summand that nothing but its addition reads, by the error after the addition and its ReLU."""
    for op in graph.graph.operators:
        if op.name != "ADD" or len({len(activations.samples.get(i, ())) for i in op.inputs} - {0}) != 1:
            continue
        rectify = RECTIFIERS.get(op.options.get("fusedActivationFunction", "NONE"))
        if rectify is None or not all(i in activations.samples for i in op.inputs):
            continue
        for own, other in (op.inputs, op.inputs[::-1]):
            producer, full = graph.producer(own), graph.range_of(own)
            alone = len(graph.consumers(own)) == 1 and own not in graph.graph.outputs
            if producer is not None and producer.name in SUMMANDS and alone and full is not None:
                seen = partial(_sum, rest=activations.samples[other], rectify=rectify)
                graph.set_range(own, *best_range(activations.samples[own], full, seen))


def _sum(values: Floats, rest: Floats, rectify: Callable[[Floats], Floats]) -> Floats:
    return rectify(values + rest)


def narrow_logits(graph: EditableGraph, activations: Activations) -> None:
    """Narrow the range of the logits, by the error of the softmax that the host computes of them."""
    (output,) = graph.graph.outputs
    full = graph.range_of(output)
    if full is not None:
        graph.set_range(output, *best_range(activations.outputs[output], full, softmax))
