"""A conversion on the terminal: what it cost, what changed, where it runs."""

from __future__ import annotations

import shlex

from ..edge_runtime import console
from .conversion import Conversion, Output
from .coral import CoralFile


def print_conversion(result: Conversion) -> None:
    """The whole conversion as tables, through `console.emit`."""
    reference = result.reference
    if reference is None:
        console.emit(f"{result.source}: not measured, there is no validation data (--data)")
    else:
        metrics = reference.metrics
        accuracy = console.percent_ci(metrics.accuracy, metrics.accuracy_ci95)
        bias = ", ".join(f"{label} {value:+g}" for label, value in result.metadata.logit_bias.items())
        biased = f" with {bias} in the logits" if bias else ""
        console.emit(f"{result.source}{biased} on {reference.split.name}, n = {metrics.n}: accuracy {accuracy}")
    if result.calibration is not None:
        passed = f" ({result.calibration.left_out} left out: in validation too)" if result.calibration.left_out else ""
        console.emit(f"calibrated on {len(result.calibration.files)} images of {result.calibration.source}{passed}")
    headers = ["precision", "size", "accuracy", "drop pp", "95 % interval", "McNemar p", "agreement", "ECE", "T"]
    console.emit("\n" + console.table(headers, [_row(output) for output in result.outputs]))
    _print_targets(result.outputs)
    for output in result.outputs:
        _print_details(output)
    if reference is not None and not result.contract.enforced(reference.metrics.n):
        too_few = f"n = {reference.metrics.n} is too few to enforce the default limit"
        console.emit(f"{too_few}: reported only (--max-drop enforces it)")


def _row(output: Output) -> list[str]:
    row = [output.recipe.name, f"{output.size_bytes / 1000:.0f} kB"]
    if output.cost is None or output.evaluation is None:
        return [*row, *["–"] * 7]
    paired = output.cost.paired
    return [
        *row,
        console.percent(output.evaluation.metrics.accuracy),
        f"{paired.drop_pp:+.2f}",
        f"{paired.drop_ci95_pp[0]:+.2f} to {paired.drop_ci95_pp[1]:+.2f}",
        f"{paired.mcnemar_p:.3f}",
        console.percent(paired.agreement),
        f"{output.cost.ece:.4f}",
        f"{output.metadata.temperature:.2f}",
    ]


def _print_targets(outputs: tuple[Output, ...]) -> None:
    targets = list(outputs[0].runs_on) if outputs else []
    rows = [[output.recipe.name, *(output.runs_on[target].verdict for target in targets)] for output in outputs]
    console.emit("\n" + console.table(["runs on", *targets], rows) + "\n")


def _print_details(output: Output) -> None:
    console.emit(f"{output.path}{'  REJECTED' if output.rejected else ''}")
    for breach in output.breaches:
        console.emit(f"  contract: {breach}")
    if output.recipe.keep_float and output.layers is not None:
        kept = ", ".join(layer.name for layer in output.layers.layers if layer.kept_float)
        console.emit(f"  kept in float: {kept}")
    if output.flips is not None and output.flips.flips:
        outcomes = ", ".join(f"{n} {name}" for name, n in output.flips.outcomes.items())
        pairs = ", ".join(f"{pair} {n}×" for pair, n in list(output.flips.pairs.items())[:3])
        changed = console.counted(len(output.flips.flips), "label")
        console.emit(f"  {changed} changed ({outcomes}); most: {pairs}")
    if output.layers is not None and output.layers.by_harm:
        worst = ", ".join(f"{layer.name} {layer.sqnr_db:.1f} dB" for layer in output.layers.by_harm[:3])
        console.emit(f"  layers that add most noise: {worst}")
    for target, verdict in output.runs_on.items():
        is_news = verdict.is_unsound and str(verdict) not in output.breaches
        if is_news or (output.recipe.precision == "int8" and target == "edgetpu"):
            console.emit(f"  {target}: {verdict}")
    if output.coral is not None:
        print_coral(output.coral)


def print_coral(coral: CoralFile) -> None:
    """What `--edgetpu` came to, through `console.emit`."""
    if coral.compilation is None and coral.path is None:
        console.emit("  edgetpu_compiler is not on PATH: a bare file is ready for it. On x86-64 Debian or in Colab run")
        console.emit(f"    {shlex.join(coral.command)}")
        console.emit(
            "  and convert the .tflite with --edgetpu once more, which puts the metadata into the compiled file"
        )
        return
    if coral.compilation is None:
        console.emit(f"  compiled elsewhere, metadata is in it: {coral.path}")
        return
    if coral.path is None:
        console.emit(f"  edgetpu_compiler failed: {coral.compilation.failure}")
    else:
        mapped, total = coral.compilation.mapped, sum(op.count for op in coral.compilation.operators)
        console.emit(f"  compiled: {coral.path}, {mapped} of {total} operators mapped (not run on a Coral)")
    for op in coral.compilation.unmapped:
        console.emit(f"    {op.name} {op.count}×: {op.status}")
    memory = (("on-chip", coral.compilation.on_chip_bytes), ("streamed", coral.compilation.off_chip_bytes))
    for label, amount in memory:
        if amount is not None:
            console.emit(f"    {label} weights {amount / 2**20:.2f} MiB")
