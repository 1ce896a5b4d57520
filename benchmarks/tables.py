"""The report as text: a table for the terminal, and markdown for a README."""

from __future__ import annotations

from collections.abc import Callable

from ..edge_runtime.console import percent_ci, table
from .report import BenchReport, Row

DISTRIBUTIONS = {"litert": "ai-edge-litert"}
"""Backend → distribution where they are not named alike."""


def render_table(report: BenchReport) -> str:
    """One line a row, then what failed, the machine, notes and the recommendation."""
    headers, cells = columns(report)
    lines = [table(headers, cells, left=2), "", *explanations(report), *findings(report)]
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"recommendation: {report.recommendation.reason}")
    return "\n".join(lines)


def render_markdown(report: BenchReport) -> str:
    """A section for a README: the table, the machine, notes and the recommendation."""
    headers, cells = columns(report)
    align = ["---", "---", *["---:"] * (len(headers) - 2)]
    rows = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in [headers, align, *cells]]
    notes = [
        f"- {_escaped(line)}"
        for line in (*explanations(report), *findings(report), *(f"note: {note}" for note in report.notes))
    ]
    return "\n".join([*rows, "", *notes, "", f"**Recommendation:** {_escaped(report.recommendation.reason)}", ""])


def columns(report: BenchReport) -> tuple[list[str], list[list[str]]]:
    """Headers and the cells of each row; the columns of what was not measured are left out."""
    chosen = {
        title: [cell(row) for row in report.rows]
        for title, cell in COLUMNS.items()
        if title in ALWAYS or any(cell(row) != MISSING for row in report.rows)
    }
    return list(chosen), [list(cells) for cells in zip(*chosen.values(), strict=True)]


def explanations(report: BenchReport) -> list[str]:
    """Failed rows, the machine, what the columns mean."""
    env = report.environment
    lines = [f"{row.label}: {row.error}" for row in report.rows if row.error]
    used = sorted({row.backend for row in report.rows if row.latency})
    runtimes = [f"{name} {env.packages.get(DISTRIBUTIONS.get(name, name), '')}".strip() for name in used]
    governor = [f"governor {env.governor}"] if env.governor else []
    lines.append(", ".join([env.board, env.cpu, f"{env.cores} cores", *governor, env.system, *runtimes]))
    if report.overhead_us is not None:
        lines.append(f"timing a call costs {report.overhead_us:.2f} µs by itself, not subtracted")
    scored = [row.accuracy for row in report.rows if row.accuracy]
    if scored:
        names = ", ".join(scored[0].metrics.labels)
        lines.append(f"accuracy on n = {scored[0].metrics.n} images ({scored[0].split}: {names}), with 95 % interval")
        lines.append(
            "drop: on the same images, against the float32 file of the same network or else the first one; p: McNemar"
        )
    return lines


def findings(report: BenchReport) -> list[str]:
    """What was measured beside the table: stages of a video's frames, costliest operators, the sustained run."""
    lines = []
    for row in report.rows:
        if row.footage:
            split = ", ".join(f"{name} {ms:.2f}" for name, ms in row.stages_ms.items())
            seen = f"{row.footage['frames']} frames, {row.footage['faces']} faces"
            lines.append(f"{row.label}, ms a frame of video ({seen}): {split}")
        if row.profiled:
            total = sum(operator.ms or 0.0 for operator in row.operators)
            costly = sorted(row.operators, key=lambda operator: -(operator.ms or 0.0))[:3]
            shares = ", ".join(f"#{op.index} {op.title} {100 * (op.ms or 0.0) / total:.0f} %" for op in costly)
            lines.append(f"{row.label}, costliest of {len(row.operators)} operators: {shares}")
    if report.sustained:
        run = report.sustained
        lines.append(f"sustained for {run.points_s:.0f} s, {run.model}: {run.verdict}")
    return lines


MISSING = "–"


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _latency(row: Row, key: str) -> str:
    return _number(getattr(row.latency, key) if row.latency else None, 3)


def _accuracy(row: Row) -> str:
    metrics = row.accuracy.metrics if row.accuracy else None
    return percent_ci(metrics.accuracy, metrics.accuracy_ci95) if metrics else MISSING


def _drop(row: Row) -> str:
    loss = row.accuracy.loss if row.accuracy else None
    if loss is None:
        return MISSING
    low, high = loss.drop_ci95_pp
    return f"{loss.drop_pp:+.2f} ({low:+.2f} to {high:+.2f})"


def _p(row: Row) -> str:
    return _number(row.accuracy.loss.mcnemar_p if row.accuracy and row.accuracy.loss else None, 3)


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return MISSING
    low, high = row.ratio.ci95
    return f"{row.ratio.value:.2f}" if low == high else f"{row.ratio.value:.2f} ({low:.2f}–{high:.2f})"


def _f1(row: Row) -> str:
    return _number(row.accuracy.metrics.macro_f1 if row.accuracy else None, 3)


def _ece(row: Row) -> str:
    return _number(row.accuracy.metrics.ece if row.accuracy else None, 3)


COLUMNS: dict[str, Callable[[Row], str]] = {
    "model": lambda row: row.model,
    "precision": lambda row: row.precision or MISSING,
    "threads": lambda row: str(row.threads),
    "size kB": lambda row: f"{row.size_bytes / 1000:.0f}",
    "accuracy": _accuracy,
    "drop pp": _drop,
    "p": _p,
    "F1": _f1,
    "ECE": _ece,
    "p50 ms": lambda row: _latency(row, "p50"),
    "p95 ms": lambda row: _latency(row, "p95"),
    "p99 ms": lambda row: _latency(row, "p99"),
    "× ref": _ratio,
    "GOP/s": lambda row: _number(row.gops, 0),
    "init ms": lambda row: _number(row.init_ms, 1),
    "first ms": lambda row: _number(row.first_ms, 2),
    "RSS MB": lambda row: _number(row.peak_rss_mb, 0),
}
"""Title → cell of a row."""
ALWAYS = frozenset({"model", "precision", "threads", "size kB", "p50 ms", "p95 ms", "p99 ms"})


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
