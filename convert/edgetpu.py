"""The Edge TPU: which operators its rules allow, and the compiler, which alone knows.

Rules: coral.ai/docs/edgetpu/models-intro, "Supported operations". A model that keeps them is `likely` to map, no more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime.metadata import strip
from .graph import Graph, Operator, Tensor

COMPILER = "edgetpu_compiler"
CACHE_BYTES = int(7.8 * 2**20)
"""Weights beyond this are streamed over USB or PCIe at each inference."""
TIMEOUT_S = 600.0
MAPPED = "Mapped to Edge TPU"

_QUANTISED = ("INT8", "UINT8", "INT32", "INT16")

Rule = Callable[[Operator, list[Tensor], list[Tensor]], str]
"""(operator, its inputs, its outputs) → the rule it breaks, or an empty string."""


@dataclass(frozen=True)
class Objection:
    """One operator that the rules exclude, and the rule."""

    operator: str
    rule: str


@dataclass(frozen=True)
class CompiledOperator:
    """One row of the compiler's table."""

    name: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether it runs on the Edge TPU."""
        return self.status == MAPPED


@dataclass(frozen=True)
class Compilation:
    """What the compiler said. content: the compiled flatbuffer, None when it failed, and `failure` says why.

    Memory as the compiler prints it, in bytes; None where it printed none.
    """

    version: str
    operators: tuple[CompiledOperator, ...]
    on_chip_bytes: int | None = None
    off_chip_bytes: int | None = None
    subgraphs: int | None = None
    content: bytes | None = None
    failure: str = ""

    @property
    def unmapped(self) -> tuple[CompiledOperator, ...]:
        """Rows that stay on the CPU."""
        return tuple(op for op in self.operators if not op.mapped)

    @property
    def mapped(self) -> int:
        """How many operators run on the Edge TPU."""
        return sum(op.count for op in self.operators if op.mapped)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, without the compiled bytes."""
        return {
            "compiler": self.version,
            "compiled": self.content is not None,
            "operators": [{"name": op.name, "count": op.count, "status": op.status} for op in self.operators],
            "mapped": self.mapped,
            "unmapped": sum(op.count for op in self.unmapped),
            "on_chip_bytes": self.on_chip_bytes,
            "off_chip_bytes": self.off_chip_bytes,
            "subgraphs": self.subgraphs,
            "failure": self.failure,
        }


def objections(graph: Graph) -> tuple[Objection, ...]:
    """What speaks against a mapping, operator by operator; empty when every rule is kept."""
    found = []
    if graph.subgraphs > 1:
        found.append(Objection("the model", f"has {graph.subgraphs} subgraphs: one is supported"))
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensors[index].dtype not in ("INT8", "UINT8"):
            dtype = graph.tensors[index].dtype.lower()
            found.append(
                Objection("the model", f"takes or gives {dtype}: int8 input and output are needed (--io int8)")
            )
            break
    for op in graph.operators:
        inputs = [graph.tensors[i] for i in op.inputs if i >= 0]
        outputs = [graph.tensors[i] for i in op.outputs]
        rule = _broken_rule(op, inputs, outputs)
        if rule:
            found.append(Objection(f"{op.name} #{op.index}", rule))
    return tuple(found)


def compile_command(path: Path, out: Path | None = None) -> list[str]:
    """The command that compiles a file, to be run on x86-64 Debian or in Colab."""
    return [COMPILER, "-s", "-o", str(out or path.parent), str(path)]


def compile_model(tflite: bytes, name: str) -> Compilation | None:
    """Run edgetpu_compiler on the flatbuffer (metadata stripped: the compiler wants none); None when it is not on PATH.

    name: file name for the compiler's messages, without suffix.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="edge-emotion-edgetpu-") as folder:
        source = Path(folder, f"{name}.tflite")
        source.write_bytes(strip(tflite))
        command = [compiler, *compile_command(source, Path(folder))[1:]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return Compilation("", (), failure=f"no answer within {TIMEOUT_S:g} s")
        except OSError as error:
            return Compilation("", (), failure=f"{compiler} cannot be started: {error.strerror or error}")
        log, compiled = Path(folder, f"{name}_edgetpu.log"), Path(folder, f"{name}_edgetpu.tflite")
        text = log.read_text() if log.exists() else ""
        content = compiled.read_bytes() if compiled.exists() and done.returncode == 0 else None
        return parse_compilation(done.stdout + "\n" + done.stderr, text, content, done.returncode)


def parse_compilation(said: str, log: str, content: bytes | None = None, returncode: int = 0) -> Compilation:
    """The compiler's own words (stdout and stderr, and the operation log) as a Compilation."""
    version = re.search(r"Edge TPU Compiler version (\S+)", said)
    subgraphs = re.search(r"Number of Edge TPU subgraphs: (\d+)", said)
    rows = re.findall(
        r"^([A-Z][A-Z0-9_]+|[\w-]*custom[\w-]*)[ \t]+(\d+)[ \t]+(\S.*?)[ \t]*$", log or said, re.MULTILINE
    )
    failure = ""
    if content is None:
        lines = [line.strip().removeprefix("ERROR: ") for line in said.splitlines() if line.strip()]
        complaints = [line for line in lines if re.search(r"nvalid|rror|Didn't|not |fail|time[d ]?out|bort", line)]
        failure = next(iter(complaints), f"it ended with code {returncode} and wrote no file")
    return Compilation(
        version=version.group(1) if version else "",
        operators=tuple(CompiledOperator(name, int(count), status) for name, count, status in rows),
        on_chip_bytes=_memory(said, "On-chip memory used for caching model parameters"),
        off_chip_bytes=_memory(said, "Off-chip memory used for streaming uncached model parameters"),
        subgraphs=int(subgraphs.group(1)) if subgraphs else None,
        content=content,
        failure=failure,
    )


def _memory(text: str, label: str) -> int | None:
    """`<label>: 1.05MiB` in bytes."""
    found = re.search(re.escape(label) + r": ([\d.]+)(B|KiB|MiB|GiB)", text)
    if found is None:
        return None
    return round(float(found.group(1)) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[found.group(2)])


def _broken_rule(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    if op.name not in _RULES:
        return "is not among the operators that the Edge TPU has"
    activations = [tensor for tensor in (*inputs, *outputs) if tensor.data is None]
    for tensor in activations:
        if tensor.dtype not in _QUANTISED or not tensor.scales:
            return f"works on {tensor.dtype.lower()}: only quantised tensors map"
        if any(d < 0 for d in tensor.shape):
            return f"has a free dimension in {tensor.shape}: sizes must be fixed"
    for rule in _RULES[op.name]:
        if broken := rule(op, inputs, outputs):
            return broken
    deep = next((tensor.shape for tensor in activations if any(d > 1 for d in tensor.shape[:-3])), None)
    return f"has a tensor of shape {deep}: only the three innermost dimensions may exceed 1" if deep else ""


def _equal_dilation(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    w, h = op.options.get("dilationWFactor", 1), op.options.get("dilationHFactor", 1)
    return "" if w == h else f"has dilation {w}×{h}: both must be equal"


def _no_activation(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    activation = op.options.get("fusedActivationFunction", "NONE")
    return "" if activation == "NONE" else f"has {activation} fused into it: none may be"


def _default_weights(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    return "" if op.options.get("weightsFormat", 0) == 0 else "has shuffled weights: the default format is needed"


def _flat_output(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    flat = all(d == 1 for d in outputs[0].shape[:-1])
    return "" if flat else f"gives {outputs[0].shape}: only a one-dimensional output maps"


def _small_softmax(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    n = inputs[0].elements
    return "" if n <= 16_000 else f"has {n} inputs: 16,000 at most"


def _mean_without_batch(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    rank, axes = len(inputs[0].shape), inputs[1].values().reshape(-1) if inputs[1].data is not None else ()
    if any(int(axis) % rank == 0 for axis in axes):
        return "reduces the batch dimension"
    depth = inputs[0].shape[-1]
    return "" if depth % 4 == 0 else f"has depth {depth}: a multiple of 4 is needed"


def _pad_without_batch(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    return "" if inputs[0].shape[:1] == outputs[0].shape[:1] else "pads the batch dimension"


def _unit_strides(op: Operator, inputs: list[Tensor], outputs: list[Tensor]) -> str:
    if len(inputs) < 4 or inputs[3].data is None:
        return "has strides that are not known before it runs: all must be 1"
    return "" if (inputs[3].values() == 1).all() else "has a stride other than 1"


_RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "LOGISTIC", "TANH", "RELU", "RELU6", "PRELU"), ()),
    **dict.fromkeys(("RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "TRANSPOSE_CONV"), ()),
    **dict.fromkeys(("QUANTIZE", "PACK", "SUM"), ()),
    # from Edge TPU runtime 14 on
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN", "RSQRT", "SQUARED_DIFFERENCE", "TRANSPOSE"), ()),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (),
    "CONV_2D": (_equal_dilation,),
    "DEPTHWISE_CONV_2D": (_equal_dilation,),
    "AVERAGE_POOL_2D": (_no_activation,),
    "MAX_POOL_2D": (_no_activation,),
    "CONCATENATION": (_no_activation,),
    "FULLY_CONNECTED": (_default_weights, _flat_output),
    "MEAN": (_mean_without_batch,),
    "PAD": (_pad_without_batch,),
    "SOFTMAX": (_flat_output, _small_softmax),
    "STRIDED_SLICE": (_unit_strides,),
}
