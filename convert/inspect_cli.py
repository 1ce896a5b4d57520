"""`edge-emotion inspect`, the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.parsing import declare

if TYPE_CHECKING:
    from .inspection import Inspection


def inspect(
    model: Annotated[str, typer.Argument(help="A .tflite file, or the name of a bundled model.")],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FLOAT.tflite",
            help="Float file of the same model, or the name of a bundled one, to compare answers with.",
        ),
    ] = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    as_json: options.Json = False,
) -> None:
    """What a TFLite file is made of, and where it runs: tried on the runtimes that are here, judged by rules elsewhere.

    Example: `edge-emotion inspect edge-m`
    """
    from ..edge_runtime.errors import ModelError
    from .inspection import inspect_model

    declared = declare(model, labels, input_spec)
    with console.foreign_output_to_stderr():
        found = inspect_model(model, against, declared)
        if as_json:
            console.emit_json(found.to_json())
        else:
            _print(found)
    if found.contradictions:
        raise ModelError(f"{found.path} is refused: {'; '.join(found.contradictions)}")


def _print(found: Inspection) -> None:
    graph, metadata = found.graph, found.metadata
    console.emit(f"{found.path}, {found.size_bytes:,} bytes")
    if metadata is None:
        console.emit("metadata       none: name labels with --labels when you use it")
    else:
        spec = metadata.input
        console.emit(f"labels         {', '.join(metadata.labels)}")
        console.emit(
            f"input          {spec.width}×{spec.height} {spec.colour}, black {spec.low:g} to white {spec.high:g}; "
            f"gives {metadata.outputs}, temperature {metadata.temperature:.3f}"
        )
        if metadata.measured is not None:
            m = metadata.measured
            console.emit(f"accuracy       {console.percent_ci(m.accuracy, m.accuracy_ci95)} on {m.split}, n = {m.n}")
        for name, value in (("source", metadata.source_sha256), ("calibration", metadata.calibration_sha256)):
            if value:
                console.emit(f"{name:<14} sha256 {value[:16]}…")
        if metadata.tools:
            console.emit(f"made with      {', '.join(f'{k} {v}' for k, v in metadata.tools.items())}")
    for name, indices in (("input tensor", graph.inputs), ("output tensor", graph.outputs)):
        for tensor in (graph.tensors[i] for i in indices):
            scale = f", scale {tensor.scales[0]:.6g}, zero {tensor.zero_points[0]}" if tensor.scales else ""
            console.emit(f"{name:<14} {tensor.dtype.lower()} {tensor.shape}{scale}")
    console.emit(f"arithmetic     {graph.macs / 1e6:.2f} million multiply-accumulates an image")
    console.emit(f"memory         weights {graph.weights_bytes:,} bytes, activations {graph.arena_bytes:,} bytes")
    console.emit(f"minimum        runtime {graph.min_runtime or 'not stated'}")
    if found.runs_on:
        said = {0: "none: it runs without a delegate", 1: "1"}.get(found.partitions, f"{found.partitions}: it is split")
        console.emit(f"partitions     {said}")
    rows = [[name, str(v), str(n)] for name, by in graph.operator_counts.items() for v, n in by.items()]
    console.emit("\n" + console.table(["operator", "version", "count"], rows))
    if found.runs_on:
        verdicts = [[target, v.verdict, v.reason] for target, v in found.runs_on.items()]
        console.emit("\n" + console.table(["target", "verdict", "reason"], verdicts, left=3))
