"""Where quantisation hurts: the error of each layer's output between the float file and the int8 file."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.errors import ModelError, OptionError
from ..edge_runtime.labels import nearest
from ..edge_runtime.metadata import InputSpec
from ..edge_runtime.preprocess import Pixels, normalise
from .activations import activations
from .graph import Floats, Graph, Operator, Tensor, read_graph

IMAGES = 64
"""How many images the errors are measured on; their order settles with a few dozen."""

NO_ERROR_DB = 200.0
"""Reported for an output without any error, so that the number stays finite; its negative for noise without signal."""

_WORST_RATIO = 10 ** (NO_ERROR_DB / 10)


@dataclass(frozen=True)
class LayerError:
    """One operator of the int8 file. name: the layer's. tensor: name of its output, the same in both files.

    sqnr_db: signal to quantisation-noise ratio of its output, error carried over from earlier layers included.
    added_noise: what this layer adds, noise power over signal power of its output less that of its worst input; the
    order of harm. weight_range and activation_range: real values that the file can hold; observed_range: those that
    the float model has on these images. kept_float: it is not quantised.
    """

    name: str
    tensor: str
    operator: str
    sqnr_db: float
    added_noise: float
    activation_range: tuple[float, float] | None
    observed_range: tuple[float, float]
    weight_range: tuple[float, float] | None
    kept_float: bool

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class LayerReport:
    """The errors of all layers in execution order, measured on n images."""

    n: int
    layers: tuple[LayerError, ...]

    @property
    def by_harm(self) -> tuple[LayerError, ...]:
        """The quantised layers, the one that adds most noise first."""
        quantised = [layer for layer in self.layers if not layer.kept_float]
        return tuple(sorted(quantised, key=lambda layer: -layer.added_noise))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "schema_version": 1,
            "n": self.n,
            "layers": [layer.to_json() for layer in self.layers],
            "by_harm": [layer.tensor for layer in self.by_harm],
        }


def sqnr_db(signal: NDArray[np.floating[Any]], noise: NDArray[np.floating[Any]]) -> float:
    """10·log10 of signal power over noise power, in float64.

    >>> round(sqnr_db(np.array([10.0, 0.0]), np.array([1.0, 0.0])), 3)
    20.0
    """
    ratio = _noise_ratio(signal, noise)
    return NO_ERROR_DB if ratio == 0 else min(NO_ERROR_DB, -10 * math.log10(ratio))


def analyse(float_file: bytes, int8_file: bytes, spec: InputSpec, images: Pixels) -> LayerReport:
    """Compare every layer on prepared images, uint8 (N, H, W, C), as the default delegate computes them.

    Raises ModelError when the two files have no layer in common.
    """
    images = images[:IMAGES]
    graph = read_graph(int8_file)
    values = normalise(images, spec)
    exact = _held(float_file, read_graph(float_file), values)
    exact[graph.tensors[graph.inputs[0]].name] = values
    rounded = _held(int8_file, graph, values)
    layers = [
        _layer(graph, op, exact, rounded)
        for op in graph.operators
        if graph.tensors[op.outputs[0]].name in exact and op.name not in ("QUANTIZE", "DEQUANTIZE")
    ]
    if not layers:
        raise ModelError("the float and the int8 file have no layer in common: convert both from the same model")
    return LayerReport(len(images), tuple(layers))


def tensors_of(float_file: bytes, names: Sequence[str]) -> tuple[str, ...]:
    """The output tensors of the layers of these names. Raises OptionError for one that is not there."""
    graph = read_graph(float_file)
    known: dict[str, list[str]] = {}  # layers of nested models may share a name
    for op in graph.operators:
        known.setdefault(_name(graph, op), []).append(graph.tensors[op.outputs[0]].name)
    for name in names:
        if name not in known:
            raise OptionError(f"--keep-float: there is no layer {name!r}: {nearest(name, tuple(known))}")
    return tuple(tensor for name in names for tensor in known[name])


def short_name(tensor: str) -> str:
    """The layer's own part of a fused tensor name.

    >>> short_name("residual_1/stem_relu_1/Relu6;residual_1/stem_norm_1/add;residual_1/stem_1/convolution;x/sub1")
    'stem'
    """
    parts = [part.strip("/").split("/") for part in tensor.split(";")]
    weighted = ("convolution", "Conv2D", "MatMul", "BiasAdd", "depthwise")
    chosen = next((part for part in parts if part[-1].rstrip("0123456789") in weighted), parts[0])
    return re.sub(r"_1$", "", chosen[-2] if len(chosen) > 1 else chosen[-1])


def plot(report: LayerReport, title: str) -> bytes:
    """A PNG: SQNR of each layer in execution order, the three that add most noise marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    worst = {layer.tensor for layer in report.by_harm[:3]}
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(report.layers)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(report.layers))
    colours = ["#c0392b" if layer.tensor in worst else "#5b7fa6" for layer in report.layers]
    axes.barh(places, [layer.sqnr_db for layer in report.layers], color=colours)
    axes.set_yticks(list(places), [f"{layer.name} ({layer.operator.lower()})" for layer in report.layers], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"signal to quantisation noise, dB (n = {report.n} images; red: the three that add most noise)")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _layer(
    graph: Graph, op: Operator, exact: dict[str, NDArray[np.float32]], rounded: dict[str, NDArray[np.float32]]
) -> LayerError:
    output = graph.tensors[op.outputs[0]]
    signal = exact[output.name]
    ratio = _noise_ratio(signal, rounded[output.name] - signal)
    sources = {graph.tensors[i].name for i in op.inputs if i >= 0} & exact.keys() & rounded.keys()
    carried = max((_noise_ratio(exact[name], rounded[name] - exact[name]) for name in sources), default=0.0)
    weights = _weights(graph, op)
    span = None
    if output.scales:
        low, high = (-128, 127) if output.dtype == "INT8" else (-32768, 32767)
        scale, zero = output.scales[0], output.zero_points[0]
        span = (scale * (low - zero), scale * (high - zero))
    is_weight = weights is not None and weights.dtype not in ("INT32", "INT64")
    return LayerError(
        name=_name(graph, op),
        tensor=output.name,
        operator=op.name,
        sqnr_db=sqnr_db(signal, rounded[output.name] - signal),
        added_noise=ratio - carried,
        activation_range=span,
        observed_range=(float(signal.min()), float(signal.max())),
        weight_range=_range(weights.values()) if weights is not None and is_weight else None,
        kept_float=not output.scales,
    )


def _weights(graph: Graph, op: Operator) -> Tensor | None:
    return next((graph.tensors[i] for i in op.inputs[1:2] if graph.tensors[i].data is not None), None)


def _name(graph: Graph, op: Operator) -> str:
    """The layer's name; the graph's output bears none, so its weights give it."""
    output, weights = graph.tensors[op.outputs[0]], _weights(graph, op)
    named_by = weights if weights is not None and output.name.startswith("Identity") else output
    return short_name(named_by.name)


def _held(tflite: bytes, graph: Graph, values: Floats) -> dict[str, Floats]:
    """Tensor name → real values (N, …) of the input and of all activations."""
    images = list(activations(tflite, values))
    return {graph.tensors[tensor].name: np.concatenate([seen[tensor] for seen in images]) for tensor in images[0]}


def _noise_ratio(signal: NDArray[np.floating[Any]], noise: NDArray[np.floating[Any]]) -> float:
    power = float(np.square(signal, dtype=np.float64).sum())
    error = float(np.square(noise, dtype=np.float64).sum())
    return min(error / power, _WORST_RATIO) if power > 0 else (0.0 if error == 0 else _WORST_RATIO)


def _range(values: NDArray[np.floating[Any]] | Sequence[float]) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))
