"""A float TFLite graph that can be changed before it is quantised."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Floats, Graph, Operator, pack, read_graph


class EditableGraph:
    """The one subgraph of a calibrated float flatbuffer: constants, ranges and operators can be replaced.

    `graph` describes what it was when it was opened; tensors keep their positions.
    """

    def __init__(self, tflite: bytes) -> None:
        """Unpack a flatbuffer. Raises ModelError when it is not one."""
        import ai_edge_litert.schema_py_generated as schema

        self.graph: Graph = read_graph(tflite)
        self.schema: Any = schema
        self.model: Any = schema.ModelT.InitFromPackedBuf(tflite, 0)
        self.subgraph: Any = self.model.subgraphs[0]

    def pack(self) -> bytes:
        """The flatbuffer with all changes."""
        return pack(self.model)

    def constant(self, tensor: int) -> Floats | None:
        """A float32 constant in its shape, or None for anything else, position -1 included."""
        known = self.graph.tensors[tensor]
        if tensor < 0 or known.dtype != "FLOAT32" or known.data is None:
            return None
        return np.frombuffer(known.data, np.float32).reshape(known.shape)

    def set_constant(self, op: Operator, place: int, values: NDArray[Any]) -> None:
        """Replace the constant at a place of an operator's inputs, for this operator alone.

        The converter keeps equal constants, such as biases of zero, as one tensor or as one buffer.
        """
        position = op.inputs[place]
        if len(self.consumers(position)) > 1:
            own = copy(self.subgraph.tensors[position])
            own.name += f"/{op.index}".encode()
            self.subgraph.tensors.append(own)
            position = len(self.subgraph.tensors) - 1
            operator = self.subgraph.operators[op.index]
            operator.inputs = [*operator.inputs[:place], position, *operator.inputs[place + 1 :]]
        target = self.subgraph.tensors[position]
        target.buffer, target.shape = self._add_buffer(values), list(values.shape)
        target.shapeSignature = None

    def add_constant(self, name: str, values: NDArray[np.int32]) -> int:
        """A new int32 constant; returns its position."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.type = name.encode(), self.schema.TensorType.INT32
        tensor.shape, tensor.buffer = list(values.shape), self._add_buffer(values)
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def operator_code(self, name: str) -> int:
        """The position of a built-in operator of version 1 in the model's table, added when it is not there."""
        builtin = getattr(self.schema.BuiltinOperator, name)
        for position, known in enumerate(self.model.operatorCodes):
            if (max(known.builtinCode, known.deprecatedBuiltinCode), known.version) == (builtin, 1):
                return position
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def range_of(self, tensor: int) -> tuple[float, float] | None:
        """The calibrated (min, max) of an activation, or None where there is none."""
        known = self.subgraph.tensors[tensor].quantization
        if known is None or known.min is None or known.max is None:
            return None
        return float(known.min[0]), float(known.max[0])

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """Set the (min, max) that the quantised tensor will hold."""
        target = self.subgraph.tensors[tensor]
        target.quantization = target.quantization or self.schema.QuantizationParametersT()
        target.quantization.min, target.quantization.max = [low], [high]

    def consumers(self, tensor: int) -> tuple[Operator, ...]:
        """The operators that read a tensor."""
        return tuple(op for op in self.graph.operators if tensor in op.inputs)

    def producer(self, tensor: int) -> Operator | None:
        """The operator that writes a tensor, None for inputs and constants."""
        return next((op for op in self.graph.operators if tensor in op.outputs), None)

    def _add_buffer(self, values: NDArray[Any]) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1
