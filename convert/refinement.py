"""What is done to a calibrated float graph before it is quantised, so that less is lost in int8."""

from __future__ import annotations

from collections.abc import Collection

from ..edge_runtime.metadata import ModelMetadata
from .activations import Activations
from .bias_correction import correct_biases
from .editing import EditableGraph
from .pooling import merge_pooling
from .ranges import fix_input_range, narrow_logits, narrow_summands

REFINEMENTS = ("input range", "summands narrowed", "logits narrowed", "bias correction", "pooling merged")
"""What every int8 file is given, as its record says; each where the network has what it is about."""


def refine(
    calibrated: bytes, activations: Activations, metadata: ModelMetadata, kept_float: Collection[str] = ()
) -> bytes:
    """The calibrated flatbuffer, ready to be quantised with less loss; in float it computes what it did.

    (The biases apart: they make up for weights that are yet to be rounded.) activations: of this flatbuffer on the
    calibration images. kept_float: names of output tensors of operators that stay float.
    """
    graph = EditableGraph(calibrated)
    fix_input_range(graph, metadata.input)
    narrow_summands(graph, activations)
    if metadata.outputs == "logits":
        narrow_logits(graph, activations)
    correct_biases(graph, activations, kept_float)
    merge_pooling(graph, kept_float)
    return graph.pack()
