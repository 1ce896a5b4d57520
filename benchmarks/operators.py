"""The operators of a TFLite file, as its runtime lists them.

Every TFLite runtime lists its nodes to Python (`_get_ops_details`, an inner name of the interpreter that TensorFlow's
own tools use); an interpreter without delegates has one node for each operator of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..edge_runtime.arithmetic import Shape, macs
from ..edge_runtime.interpreter import BACKENDS
from ..edge_runtime.metadata import strip


@dataclass(frozen=True)
class Operator:
    """One operator: its position, TFLite name, output shape, multiply-accumulates, and its time when profiled."""

    index: int
    name: str
    output_shape: Shape
    macs: int
    ms: float | None = None

    @property
    def title(self) -> str:
        """Such as `conv_2d 24×24×32`."""
        return f"{self.name.lower()} {'×'.join(map(str, self.output_shape[1:]))}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**self.__dict__, "output_shape": list(self.output_shape)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Operator:
        """The inverse of `to_json`."""
        return cls(**{**document, "output_shape": tuple(document["output_shape"])})


@dataclass(frozen=True)
class Network:
    """The operators of a file in order, and the precision that its tensors show."""

    operators: tuple[Operator, ...]
    precision: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(operator.macs for operator in self.operators)


def read_network(tflite: bytes, backend: str) -> Network:
    """List the operators of a file's bytes through a runtime that is installed."""
    module = import_module(BACKENDS[backend][0])
    interpreter = module.Interpreter(
        model_content=strip(tflite),
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    nodes = interpreter._get_ops_details()

    def shape(index: int) -> Shape:
        return tuple(int(v) for v in tensors[index]["shape"]) if index in tensors else ()

    operators = tuple(
        Operator(
            index,
            node["op_name"],
            shape(node["outputs"][0]),
            macs(node["op_name"], [shape(i) for i in node["inputs"]], shape(node["outputs"][0])),
        )
        for index, node in enumerate(nodes)
    )
    produced = {int(i) for node in nodes for i in node["outputs"]}
    consumed = {int(i) for node in nodes for i in node["inputs"] if i in tensors}
    kinds = {
        "activations": {tensors[i]["dtype"].__name__ for i in produced if i in tensors},
        "weights": {tensors[i]["dtype"].__name__ for i in consumed - produced if len(tensors[i]["shape"]) > 1},
    }
    return Network(operators, precision_of(kinds["activations"], kinds["weights"]))


def precision_of(activations: set[str], weights: set[str]) -> str:
    """float32, float16, dynamic or int8 from the dtype names of a file's computed and constant tensors."""
    quantised = {"int8", "uint8", "int16"}
    if activations & quantised:
        return "int8"
    if weights & quantised:
        return "dynamic"
    return "float16" if "float16" in weights else "float32"
