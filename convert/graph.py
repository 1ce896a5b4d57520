"""What is inside a TFLite flatbuffer: operators, tensors, arithmetic and memory. Reads it, never runs it.

The schema is the one that ai-edge-litert ships, kept by the people who define the format; no TensorFlow is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.arithmetic import Shape, macs
from ..edge_runtime.errors import ModelError, RuntimeMissingError
from ..edge_runtime.metadata import is_tflite, strip

Floats = NDArray[np.float32]
"""Real values of a tensor."""

ALIGNMENT = 64
"""Bytes to which TFLite aligns tensors in its arena (kDefaultTensorAlignment)."""

_BITS = {"FLOAT64": 64, "INT64": 64, "UINT64": 64, "FLOAT16": 16, "INT16": 16, "UINT16": 16, "INT8": 8, "UINT8": 8}
_BITS |= {"BOOL": 8, "INT4": 4, "INT2": 2, "FLOAT32": 32, "INT32": 32, "UINT32": 32}


@dataclass(frozen=True)
class Tensor:
    """One tensor. shape as stored, -1 where it is free. scales: empty if it is not quantised, several lie along `axis`.

    data: the stored bytes of a constant, None of an activation.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: bytes | None = field(default=None, repr=False)

    @property
    def elements(self) -> int:
        """Number of elements; free dimensions count as one."""
        return int(np.prod([abs(d) for d in self.shape], dtype=np.int64))

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor in memory."""
        return (self.elements * _BITS.get(self.dtype, 32) + 7) // 8

    def values(self) -> NDArray[np.float64]:
        """Real values of a constant int8, int16, int32, float16 or float32 tensor, float64, in its shape."""
        raw = np.frombuffer(self.data or b"", np.dtype(self.dtype.lower())).reshape(self.shape).astype(np.float64)
        if not self.scales:
            return raw
        along = [1] * len(self.shape)
        if len(self.scales) > 1:
            along[self.axis] = len(self.scales)
        zero = np.array(self.zero_points or (0,) * len(self.scales), np.float64)
        scales = np.array(self.scales, np.float64)
        return np.asarray((raw - zero.reshape(along)) * scales.reshape(along))


@dataclass(frozen=True)
class Operator:
    """One operator in execution order. name as in the schema (`CONV_2D`), or a custom operator's own name.

    inputs: tensor positions, -1 for one that is left out. options: the schema's fields, such as `strideW`.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a model, and how many there are. min_runtime: what the file says of itself, or empty."""

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1
    min_runtime: str = ""

    @property
    def operator_counts(self) -> dict[str, dict[int, int]]:
        """Operator name → version → how many, in alphabetical order."""
        counts: dict[str, dict[int, int]] = {}
        for (name, version), n in sorted(Counter((op.name, op.version) for op in self.operators).items()):
            counts.setdefault(name, {})[version] = n
        return counts

    @property
    def weights_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(len(tensor.data) for tensor in self.tensors if tensor.data is not None)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference: convolutions, dense layers and their kin."""
        return sum(
            macs(op.name, [self._size(i) for i in op.inputs], self._size(op.outputs[0] if op.outputs else -1))
            for op in self.operators
        )

    @property
    def arena_bytes(self) -> int:
        """Bytes that TFLite's own kernels need for activations, by its planner's rule (greedy by size).

        Kernels add scratch space, and a delegate such as XNNPACK plans its own.
        """
        return arena_size(self._lifetimes())

    def _size(self, tensor: int) -> Shape:
        """A tensor's shape with free dimensions as one; () for one that is left out."""
        return tuple(map(abs, self.tensors[tensor].shape)) if tensor >= 0 else ()

    def _lifetimes(self) -> list[tuple[int, int, int]]:
        """(bytes, first operator, last operator) of each activation."""
        first = dict.fromkeys(self.inputs, 0)
        last: dict[int, int] = dict.fromkeys(self.inputs, 0)
        for op in self.operators:
            for tensor in op.outputs:
                first.setdefault(tensor, op.index)
            for tensor in (*op.inputs, *op.outputs):
                last[tensor] = op.index
        last |= dict.fromkeys(self.outputs, len(self.operators))
        return [
            (self.tensors[t].size_bytes, start, last[t]) for t, start in first.items() if self.tensors[t].data is None
        ]


def read_graph(tflite: bytes, name: Path | str = "the model") -> Graph:
    """The graph of a TFLite file's bytes, with or without metadata appended. name: what an error calls the file.

    Raises ModelError when they are not a TFLite model, RuntimeMissingError without ai-edge-litert.
    """
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError as error:
        raise RuntimeMissingError(f"reading a model's graph needs ai-edge-litert: {error}") from error
    flatbuffer = strip(tflite)
    if not is_tflite(flatbuffer):
        raise ModelError(f"{name} is not a TFLite file: it lacks the TFL3 identifier")
    try:
        model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        subgraph = model.subgraphs[0]
        tensors = tuple(_tensor(schema, model, i, t) for i, t in enumerate(subgraph.tensors))
        operators = tuple(_operator(schema, model, i, op) for i, op in enumerate(subgraph.operators))
        inputs, outputs = tuple(map(int, subgraph.inputs)), tuple(map(int, subgraph.outputs))
        return Graph(operators, tensors, inputs, outputs, len(model.subgraphs), _min_runtime(model))
    except Exception as error:  # a garbled flatbuffer fails anywhere: struct, index, type and Unicode errors
        raise ModelError(f"{name} is not a whole TFLite file: it is cut off or damaged") from error


def with_all_outputs(tflite: bytes) -> bytes:
    """The flatbuffer with every activation as an output, in operator order, so that a runtime keeps them all."""
    import ai_edge_litert.schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(strip(tflite), 0)
    graph = read_graph(tflite)
    model.subgraphs[0].outputs = [tensor for op in graph.operators for tensor in op.outputs]
    model.signatureDefs = None  # they name the old outputs
    return pack(model)


def pack(model: Any) -> bytes:
    """The flatbuffer of a `ModelT` of the schema."""
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1 << 20)  # to begin with: it grows
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def arena_size(lifetimes: Sequence[tuple[int, int, int]]) -> int:
    """Bytes of an arena for tensors of (bytes, first use, last use): largest first, each in the lowest gap that fits.

    Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), greedy by size.

    >>> arena_size([(64, 0, 1), (128, 1, 2), (64, 2, 3)])
    192
    """
    placed: list[tuple[int, int, int, int]] = []  # offset, bytes, first, last
    for size, first, last in sorted(lifetimes, key=lambda item: -item[0]):
        offset = 0
        for start, length, begin, end in sorted(placed):
            if begin > last or end < first:
                continue
            if offset + size <= start:
                break
            offset = max(offset, -(-(start + length) // ALIGNMENT) * ALIGNMENT)
        placed.append((offset, size, first, last))
    return max((offset + size for offset, size, _, _ in placed), default=0)


def _tensor(schema: Any, model: Any, index: int, tensor: Any) -> Tensor:
    quantisation = tensor.quantization
    scales = () if quantisation is None or quantisation.scale is None else tuple(map(float, quantisation.scale))
    zeros = () if quantisation is None or quantisation.zeroPoint is None else tuple(map(int, quantisation.zeroPoint))
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    data = model.buffers[tensor.buffer].data
    return Tensor(
        index=index,
        name=(tensor.name or b"").decode(),
        dtype=_enum_name(schema.TensorType, tensor.type),
        shape=() if shape is None else tuple(map(int, shape)),
        scales=scales,
        zero_points=zeros if scales else (),
        axis=0 if quantisation is None else int(quantisation.quantizedDimension),
        data=None if data is None else bytes(bytearray(data)),
    )


def _operator(schema: Any, model: Any, index: int, op: Any) -> Operator:
    code = model.operatorCodes[op.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)  # the old field holds codes below 127
    name = _enum_name(schema.BuiltinOperator, builtin)
    if name == "CUSTOM":
        name = (code.customCode or b"custom").decode()
    options = dict(vars(op.builtinOptions)) if op.builtinOptions is not None else {}
    if "fusedActivationFunction" in options:
        options["fusedActivationFunction"] = _enum_name(
            schema.ActivationFunctionType, options["fusedActivationFunction"]
        )
    return Operator(index, name, int(code.version), _positions(op.inputs), _positions(op.outputs), options)


def _positions(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(map(int, values))


def _min_runtime(model: Any) -> str:
    for entry in model.metadata or ():
        if entry.name == b"min_runtime_version":
            return bytes(bytearray(model.buffers[entry.buffer].data)).rstrip(b"\0").decode()
    return ""


def _enum_name(enum: Any, value: int) -> str:
    return next((name for name, own in vars(enum).items() if own == value and name.isupper()), str(value))
