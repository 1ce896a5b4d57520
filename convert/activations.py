"""What the tensors of a TFLite file hold while it runs, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.console import quiet_native
from ..edge_runtime.interpreter import Quantisation
from .graph import Floats, read_graph, with_all_outputs

SAMPLED_ELEMENTS = 256
"""Elements that are kept of a tensor for one image; 500 images give 128,000 of each tensor."""


def activations(tflite: bytes, values: Floats) -> Iterator[dict[int, Floats]]:
    """For each of the real values (N, H, W, C): position → real values, float32 (1, …), of the input and of each
    operator's outputs. Those of a quantised file are the ones that its integers stand for, its input's included.
    """
    from ai_edge_litert.interpreter import Interpreter

    graph = read_graph(tflite)
    positions = [tensor for op in graph.operators for tensor in op.outputs]
    with quiet_native():
        runtime = Interpreter(model_content=with_all_outputs(tflite))
        runtime.allocate_tensors()
    (first,) = runtime.get_input_details()
    fed = Quantisation.of(first)
    held = [(d["index"], Quantisation.of(d)) for d in runtime.get_output_details()]
    for value in values:
        given = fed.quantise(value[None])
        runtime.set_tensor(first["index"], given)
        runtime.invoke()
        seen = {graph.inputs[0]: fed.dequantise(given)}
        for position, (handle, quantisation) in zip(positions, held, strict=True):
            seen[position] = quantisation.dequantise(runtime.get_tensor(handle))
        yield seen


@dataclass(frozen=True, eq=False)
class Activations:
    """What tensors hold over a set of images, by their position.

    means: of each channel, float64 (C,). samples: the same elements of every image, float32 (N × SAMPLED_ELEMENTS,), at
    the same places in all tensors of one size. outputs: the whole of the graph's outputs, float32 (N, …).
    """

    means: Mapping[int, NDArray[np.float64]]
    samples: Mapping[int, Floats] = field(repr=False)
    outputs: Mapping[int, Floats] = field(repr=False)


def observe(tflite: bytes, values: Floats) -> Activations:
    """Run a flatbuffer on values (N, H, W, C) and keep what `Activations` says of all its activations."""
    sums: dict[int, NDArray[np.float64]] = {}
    samples: dict[int, list[Floats]] = {}
    outputs: dict[int, list[Floats]] = {tensor: [] for tensor in read_graph(tflite).outputs}
    for seen in activations(tflite, values):
        for tensor, content in seen.items():
            channels = content.reshape(-1, content.shape[-1])
            sums[tensor] = sums.get(tensor, 0.0) + channels.mean(axis=0, dtype=np.float64)
            places = np.random.default_rng(0).integers(0, content.size, SAMPLED_ELEMENTS)  # the same for every image
            samples.setdefault(tensor, []).append(content.ravel()[places])
        for tensor, kept in outputs.items():
            kept.append(seen[tensor][0])
    return Activations(
        {tensor: total / len(values) for tensor, total in sums.items()},
        {tensor: np.concatenate(parts) for tensor, parts in samples.items()},
        {tensor: np.stack(parts) for tensor, parts in outputs.items()},
    )
