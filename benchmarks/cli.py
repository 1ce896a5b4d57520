"""`edge-emotion bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.errors import INTERRUPTED, ContractError, ModelError, OptionError
from ..edge_runtime.parsing import declare_each, parse_classes

if TYPE_CHECKING:
    from .report import BenchReport

_TIMING, _PATH, _LIMITS = "How to time", "The whole path", "Limits and comparison"
_COUNTED = ("models", "data", "split", "labels", "input_spec", "baseline", "save_baseline", "emulate", "out", "as_json")
"""What goes with `--emulate`; all else is about time, or this machine."""


def bench(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL…]", help=".tflite files or names of bundled models; by default all bundled ones."
        ),
    ] = None,
    data: options.OptionalData = None,
    split: options.SplitName = "validation",
    classes: options.Classes = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: Annotated[str, typer.Option(metavar="N,…", help="Interpreter threads: one row for each number.")] = "1",
    seconds: Annotated[float, typer.Option(help="At least this long a row.", rich_help_panel=_TIMING)] = 5.0,
    runs: Annotated[int, typer.Option(help="At least so many inferences a row.", rich_help_panel=_TIMING)] = 50,
    pin: Annotated[bool, typer.Option(help="Pin each worker to the fastest CPUs.", rich_help_panel=_TIMING)] = True,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also time each operator (LiteRT or TensorFlow).", rich_help_panel=_TIMING)
    ] = False,
    sustained: Annotated[
        float | None,
        typer.Option(metavar="S", help="Then run the recommended row for S seconds.", rich_help_panel=_TIMING),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Time decode, detect, preprocess, classify, track on it.", rich_help_panel=_PATH)
    ] = None,
    detector: Annotated[
        str, typer.Option(help="auto (blazeface), blazeface-full, haar, yunet:PATH or none.", rich_help_panel=_PATH)
    ] = "auto",
    min_accuracy: Annotated[
        float | None, typer.Option(help="Recommend only from this accuracy on (0 to 1).", rich_help_panel=_LIMITS)
    ] = None,
    deadline_ms: Annotated[
        float | None, typer.Option(help="Recommend only up to this p95.", rich_help_panel=_LIMITS)
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="Compare with this file (or this board's in a folder); exit 3 past a limit.", rich_help_panel=_LIMITS
        ),
    ] = None,
    max_slowdown: Annotated[
        float, typer.Option(help="Limit of --baseline: per cent slower.", rich_help_panel=_LIMITS)
    ] = 10.0,
    max_drop: Annotated[
        float, typer.Option(help="Limit of --baseline: percentage points less accurate.", rich_help_panel=_LIMITS)
    ] = 0.5,
    save_baseline: Annotated[
        Path | None,
        typer.Option(help="Write what --baseline compares with: a file, or a folder.", rich_help_panel=_LIMITS),
    ] = None,
    emulate: Annotated[
        str | None,
        typer.Option(
            metavar="BOARD",
            help="Count instructions on an emulated cortex-a72, cortex-a76 or armv7 instead of timing here.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, .md, .json and the raw samples.")] = None,
    as_json: options.Json = False,
) -> None:
    """Accuracy and latency of TFLite files side by side, each in its own process, and which of them to deploy.

    Example: `edge-emotion bench edge-m edge-m-float16 --data faces.zip --threads 1,2,4 --out report`
    """
    from ..edge_runtime.dataset import open_dataset
    from .compare import as_baseline, baseline_file, baseline_rows, compare_reports, read_baseline
    from .comparison import Limits
    from .config import BenchConfig
    from .environment import Machine
    from .files import check_outputs, write_json
    from .harness import run_bench

    if emulate is not None:
        from .emulated_cli import bench_emulated

        _check_emulated(context)
        images = open_dataset(data).load(split) if data else None
        chosen = models or bundled()
        bench_emulated(
            chosen,
            emulate,
            split=images,
            declared=declare_each(chosen, labels, input_spec),
            baseline=baseline,
            save_baseline=save_baseline,
            out=out,
            as_json=as_json,
        )
        return
    config = BenchConfig(
        backend=backend,
        threads=parse_threads(threads),
        seconds=seconds,
        min_runs=runs,
        pin=pin,
        split=split,
        classes=parse_classes(classes),
        min_accuracy=min_accuracy,
        deadline_ms=deadline_ms,
        profile=profile,
        sustained_s=sustained,
        video=video,
        detector=detector,
    )
    limits = Limits(slower=max_slowdown / 100, less_accurate_pp=max_drop)
    board = Machine().environment().board if baseline or save_baseline else ""
    chosen = models or bundled()
    declared = declare_each(chosen, labels, input_spec)
    dataset = open_dataset(data) if data else None
    check_outputs(out)  # makes the folder, in which the baseline may be asked for
    baseline, save_baseline = (baseline_file(path, board) if path else None for path in (baseline, save_baseline))
    before = read_baseline(baseline) if baseline else None
    check_outputs(save_baseline=save_baseline)
    replaced = baseline_rows(save_baseline) if save_baseline else []
    with console.foreign_output_to_stderr(), console.progress("bench") as bar:
        report = run_bench(chosen, config, dataset, declared=declared, progress=bar)
    if before is not None:
        report = replace(report, comparison=compare_reports(report, before, str(baseline), limits))
    _deliver(report, out, as_json)
    _judge(report)
    if save_baseline is not None:
        write_json(as_baseline(report), save_baseline)
        kept = baseline_rows(save_baseline)
        if gone := [row for row in replaced if row not in kept]:
            console.note(f"{save_baseline} no longer has {'; '.join(gone)}")


def parse_threads(text: str) -> tuple[int, ...]:
    """`1,2,4` as (1, 2, 4). Raises OptionError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--threads takes numbers such as 1,2,4; got {text!r}") from None


def bundled() -> list[str]:
    """Names of the bundled models. Raises ModelError when this installation has none."""
    from ..edge_runtime.zoo import bundled_models

    names = list(bundled_models())
    if not names:
        raise ModelError("no models are bundled with this version: name a .tflite file, as convert writes it")
    console.note(f"no model named: taking the bundled {', '.join(names)}")
    return names


def _check_emulated(context: typer.Context) -> None:
    """Raise OptionError for options that an emulated bench would not heed."""
    said = {name: context.get_parameter_source(name) for name in context.params if name not in _COUNTED}
    given = {name for name, source in said.items() if source is not None and source.name != "DEFAULT"}
    if given:
        names = ", ".join(option.opts[0] for option in context.command.params if option.name in given)
        raise OptionError(f"--emulate counts instructions on another processor and has no use for {names}")


def _deliver(report: BenchReport, out: Path | None, as_json: bool) -> None:
    """Write the files and print the result."""
    from .compare import render_comparison
    from .files import write_report
    from .tables import render_table

    if out is not None:
        write_report(report, out)
    if as_json:
        console.emit_json(report.to_json())
        return
    console.emit(render_table(report))
    if report.comparison:
        console.emit(render_comparison(report.comparison))
    if out is not None:
        console.emit(f"report: {out / 'report.html'}")


def _judge(report: BenchReport) -> None:
    """Exit 130 when interrupted; raise ContractError (exit 3) when a limit that was asked for is not met."""
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.comparison and report.comparison.failed:
        failed = [f"{c.row}: {c.figure} {c.detail}" for c in report.comparison.changes if c.verdict == "failed"]
        what = "; ".join(failed) or "no row of it was measured"
        raise ContractError(f"worse than {report.comparison.baseline} allows: {what}")
    asked = report.settings["min_accuracy"] is not None or report.settings["deadline_ms"] is not None
    if asked and report.recommendation.model is None:
        raise ContractError(report.recommendation.reason)
