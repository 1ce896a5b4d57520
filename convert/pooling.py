"""Global average pooling and the dense layer after it as one dense layer, which rounds once instead of twice.

logits = W · mean over places (x) + b = (W / places, repeated) · all of x + b. In int8 the mean would be rounded to
steps of its own (tflite-runtime's kernel rounds one in forty the wrong way); the product is exact until the end.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from .editing import EditableGraph
from .graph import Operator

MAX_INPUTS = 2**31 // (127 * 255)
"""Products of an int8 weight and an int8 input that an int32 accumulator holds, whatever they are."""


def merge_pooling(graph: EditableGraph, kept_float: Collection[str] = ()) -> bool:
    """Replace MEAN over height and width, read by one FULLY_CONNECTED alone, by a RESHAPE. Returns whether it did.

    The dense layer's weights grow by the number of places. Left alone where the int32 sum could overflow, or where one
    of the two is among the output tensors kept_float.
    """
    for op in graph.graph.operators:
        dense = _dense_after(graph, op)
        if dense is None or {graph.graph.tensors[o.outputs[0]].name for o in (op, dense)} & set(kept_float):
            continue
        weights = graph.constant(dense.inputs[1])
        _, height, width, channels = graph.graph.tensors[op.inputs[0]].shape
        places = height * width
        if weights is None or weights.shape[1] != channels or places * channels > MAX_INPUTS:
            continue
        _flatten_instead(graph, op, places * channels)
        graph.set_constant(dense, 1, np.tile(weights / np.float32(places), (1, places)))
        return True
    return False


def _dense_after(graph: EditableGraph, op: Operator) -> Operator | None:
    """The dense layer that alone reads the pooled image of this operator, if that is what it is."""
    if op.name != "MEAN" or op.options.get("keepDims") or len(graph.graph.tensors[op.inputs[0]].shape) != 4:
        return None
    axes = graph.graph.tensors[op.inputs[1]].data
    if axes is None or sorted(np.frombuffer(axes, np.int32).tolist()) != [1, 2]:
        return None
    readers = graph.consumers(op.outputs[0])
    alone = len(readers) == 1 and op.outputs[0] not in graph.graph.outputs
    if not alone or readers[0].name != "FULLY_CONNECTED" or len(graph.consumers(readers[0].inputs[1])) != 1:
        return None
    return readers[0]


def _flatten_instead(graph: EditableGraph, op: Operator, size: int) -> None:
    shape = [1, size]
    target, pooled = graph.subgraph.operators[op.index], graph.subgraph.tensors[op.outputs[0]]
    target.opcodeIndex = graph.operator_code("RESHAPE")
    target.builtinOptionsType = graph.schema.BuiltinOptions.ReshapeOptions
    target.builtinOptions = graph.schema.ReshapeOptionsT()
    target.builtinOptions.newShape = shape
    target.inputs = [op.inputs[0], graph.add_constant("flat/shape", np.array(shape, np.int32))]
    pooled.name, pooled.shape, pooled.shapeSignature = pooled.name + b"/flat", shape, None
    span = graph.range_of(op.inputs[0])
    if span is not None:  # what is reshaped keeps its steps
        graph.set_range(op.outputs[0], *span)
