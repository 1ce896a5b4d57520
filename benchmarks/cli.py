"""`edge-emotion bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..edge_runtime import console, options


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL…]", help=".tflite files or names of bundled models; all bundled ones by default."
        ),
    ] = None,
    data: options.OptionalData = None,
    split: options.SplitName = "validation",
    classes: options.Classes = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: Annotated[str, typer.Option(metavar="N,…", help="Interpreter threads: one row for each number.")] = "1",
    seconds: Annotated[float, typer.Option(help="At least this long a row.")] = 5.0,
    min_accuracy: Annotated[float | None, typer.Option(help="Least accuracy to recommend, as a fraction.")] = None,
    deadline_ms: Annotated[float | None, typer.Option(help="Longest p95 to recommend, in milliseconds.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Also time each operator (LiteRT).")] = False,
    video: Annotated[
        Path | None,
        typer.Option(help="Time the whole pipeline on this video: decode, detect, preprocess, classify, track."),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Face detector for --video: auto, blazeface, haar, yunet:PATH, none.")
    ] = "auto",
    sustained: Annotated[
        float | None, typer.Option(metavar="S", help="Then run the recommended row for so many seconds.")
    ] = None,
    pin: Annotated[bool, typer.Option(help="Pin each worker to the fastest CPUs.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for the report files.")] = None,
    as_json: options.Json = False,
) -> None:
    """Accuracy and latency of TFLite files side by side, each in its own process, and which of them to deploy.

    Example: `edge-emotion bench edge-m edge-m-float32 --data faces.zip --threads 1,2,4 --out report`
    """
    from ..edge_runtime.dataset import open_dataset
    from .harness import BenchConfig, run_bench
    from .tables import render_table

    config = BenchConfig(
        backend=backend,
        threads=parse_threads(threads),
        seconds=seconds,
        pin=pin,
        split=split,
        classes=options.parse_classes(classes),
        declared=options.parse_declared(labels, input_spec),
        min_accuracy=min_accuracy,
        deadline_ms=deadline_ms,
        profile=profile,
        video=video,
        detector=detector,
        sustained_s=sustained,
    )
    chosen = models or bundled()
    with console.foreign_output_to_stderr(), console.progress("bench") as bar:
        report = run_bench(chosen, config, open_dataset(data) if data else None, progress=bar)
    if out is not None:
        from .files import write_report

        write_report(report, out)
    if as_json:
        console.emit_json(report.to_json())
    else:
        console.emit(render_table(report))
        if out is not None:
            console.emit(f"report: {out}")
    if report.interrupted:
        raise typer.Exit(130)


def parse_threads(text: str) -> tuple[int, ...]:
    """`1,2,4` as (1, 2, 4). Raises OptionError."""
    from ..edge_runtime.errors import OptionError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--threads takes numbers such as 1,2,4; got {text!r}") from None


def bundled() -> list[str]:
    """Names of the bundled models. Raises ModelError when this installation has none."""
    from ..edge_runtime.errors import ModelError
    from ..edge_runtime.zoo import bundled_models

    names = list(bundled_models())
    if not names:
        raise ModelError("no models are bundled with this version: name a .tflite file, as convert writes it")
    console.note(f"no model named: taking the bundled {', '.join(names)}")
    return names
