"""Which layers cost what.

No TFLite runtime tells a Python program its per-operator times (LiteRT 2.3 and tflite-runtime 2.14 profile only inside
their C++ `benchmark_model`). So the file is cut after each operator, and the cuts are timed in turn on the same
runtime, with the same delegate and threads: an operator costs what its cut takes longer than the one before.
Everything later operators need is kept as an output, so that no branch is left out of a cut. The cutting uses the
schema classes in the wheels of LiteRT and TensorFlow; tflite-runtime has none.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.errors import RuntimeMissingError
from ..edge_runtime.interpreter import BACKENDS
from ..edge_runtime.metadata import strip

SCHEMAS = {
    "litert": "ai_edge_litert.schema_py_generated",
    "tensorflow": "tensorflow.lite.python.schema_py_generated",
}
"""Backend → module with TFLite's schema classes."""
CALLS = 7


def profile(tflite: bytes, backend: str, threads: int, rounds: int, clock: Callable[[], int]) -> list[float]:
    """Milliseconds of each operator, in order: medians over rounds. Noise can make a cheap one negative.

    An operator on constants alone (the unpacking of float16 weights) runs once, when the model is loaded: 0.
    Raises RuntimeMissingError for a backend that has no schema classes.
    """
    cuts = prefixes(strip(tflite), backend)
    interpreter_class = import_module(BACKENDS[backend][0]).Interpreter
    interpreters = {}
    for index, cut in cuts.items():
        interpreters[index] = interpreter_class(model_content=cut, num_threads=threads)
        interpreters[index].allocate_tensors()
    totals = np.empty((rounds, len(cuts)))
    for number in range(rounds):
        for column, interpreter in enumerate(interpreters.values()):
            interpreter.invoke()  # its caches were cold
            totals[number, column] = _median_ms(interpreter.invoke, clock)
    own = dict(zip(cuts, differences(totals), strict=True))
    return [own.get(index, 0.0) for index in range(1 + max(cuts))]


def differences(totals: NDArray[np.float64]) -> list[float]:
    """Times of cuts (rounds, operators) as each operator's own: medians of the differences within a round.

    >>> differences(np.array([[1.0, 3.0], [2.0, 4.0]]))
    [1.5, 2.0]
    """
    return [float(v) for v in np.median(np.diff(totals, axis=1, prepend=0.0), axis=0)]


def prefixes(flatbuffer: bytes, backend: str) -> dict[int, bytes]:
    """The model cut after each operator that depends on its input: operator's position → file."""
    if backend not in SCHEMAS:
        raise RuntimeMissingError(f"{backend} offers no per-operator profile: use --backend litert")
    schema = import_module(SCHEMAS[backend])
    graph = _read(schema, flatbuffer).subgraphs[0]
    live = {int(i) for i in graph.inputs}
    cuts = {}
    for index, operator in enumerate(graph.operators):
        if live & {int(i) for i in operator.inputs}:
            live |= {int(i) for i in operator.outputs}
            cuts[index] = _cut(schema, flatbuffer, index, live)
    return cuts


def _cut(schema: Any, flatbuffer: bytes, last: int, live: set[int]) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    model = _read(schema, flatbuffer)
    graph = model.subgraphs[0]
    kept, rest = graph.operators[: last + 1], graph.operators[last + 1 :]
    needed = {int(i) for operator in rest for i in operator.inputs} | {int(i) for i in graph.outputs}
    made = dict.fromkeys(int(i) for operator in kept for i in operator.outputs)
    graph.operators = kept
    graph.outputs = [index for index in made if index in needed & live]
    model.signatureDefs = []  # they name the outputs of the whole model
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read(schema: Any, flatbuffer: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))


def _median_ms(call: Callable[[], object], clock: Callable[[], int]) -> float:
    times = []
    for _ in range(CALLS):
        begin = clock()
        call()
        times.append(clock() - begin)
    return float(np.median(times)) / 1e6
