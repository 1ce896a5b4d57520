"""The report as text: a table for the terminal, and markdown for a README."""

from __future__ import annotations

from ..edge_runtime.console import table
from ..edge_runtime.interpreter import BACKENDS
from .columns import BRIEF, FULL, columns
from .report import BenchReport


def render_table(report: BenchReport) -> str:
    """One line a row, then what failed, the machine, notes and the recommendation."""
    headers, cells = columns(report.rows, BRIEF)
    lines = [table(headers, cells, left=2), "", *explanations(report), *findings(report)]
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"recommendation: {report.recommendation.reason}")
    return "\n".join(lines)


def render_markdown(report: BenchReport) -> str:
    """A section for a README: the table, the machine, notes and the recommendation."""
    headers, cells = columns(report.rows, FULL)
    align = ["---", "---", *["---:"] * (len(headers) - 2)]
    rows = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in [headers, align, *cells]]
    notes = [
        f"- {_escaped(line)}"
        for line in (*explanations(report), *findings(report), *(f"note: {note}" for note in report.notes))
    ]
    return "\n".join([*rows, "", *notes, "", f"**Recommendation:** {_escaped(report.recommendation.reason)}", ""])


def explanations(report: BenchReport) -> list[str]:
    """Failed rows, the machine, what the columns mean."""
    env = report.environment
    lines = [f"{row.label}: {row.error}" for row in report.rows if row.error]
    used = sorted({row.backend for row in report.rows if row.latency})
    runtimes = [f"{name} {env.packages.get(BACKENDS[name][1], '')}".strip() for name in used]
    governor = [f"governor {env.governor}"] if env.governor else []
    cpu = f"{env.cpu} ({' '.join(env.simd)})" if env.simd else env.cpu
    lines.append(", ".join([env.board, cpu, f"{env.cores} cores", *governor, env.system, *runtimes]))
    if report.overhead_us is not None:
        lines.append(f"timing a call costs {report.overhead_us:.2f} µs by itself, not subtracted")
    scored = [row.accuracy for row in report.rows if row.accuracy]
    if scored:
        names = ", ".join(scored[0].metrics.labels)
        lines.append(f"accuracy on n = {scored[0].metrics.n} images ({scored[0].split}: {names}), with 95 % interval")
        if any(block.drop for block in scored):
            lines.append("drop: on the same images, against the float file of the same network; p: McNemar")
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


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
