"""The report as one HTML file that asks nothing of the network: readable on a phone, light and dark."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from . import charts
from .columns import FULL, columns
from .report import BenchReport, Row
from .tables import explanations


def render_html(report: BenchReport) -> str:
    """The whole page. Every name from outside is escaped."""
    env = report.environment
    files_once = {row.path: row for row in reversed(report.rows)}
    single = [row for row in report.rows if files_once[row.path] is row]
    sections = [
        _section("Accuracy against latency", charts.scatter(report.rows), _SCATTER),
        _section("Latency distributions", charts.distributions(report.rows), _DISTRIBUTIONS),
        _section("A frame of the camera", charts.stages(report.rows), _STAGES),
        *(_section(f"Confusion: {row.model}", charts.confusion(row), _confusion_caption(row)) for row in single),
        *(_section(f"Operators: {row.model}", charts.operators(row), _OPERATORS) for row in single),
    ]
    if report.sustained:
        title = f"Sustained: {report.sustained.model}"
        sections.append(_section(title, charts.sustained(report.sustained), report.sustained.verdict))
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    facts = "".join(f"<li>{escape(line)}</li>" for line in explanations(report))
    table = _table(*columns(report.rows, FULL))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>Bench: {escape(env.board)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>Bench on {escape(env.board)}</h1>\n<p>{escape(env.cpu)} · {escape(env.started)}</p></header>\n"
        f'<p class="verdict"><strong>Recommendation</strong> {escape(report.recommendation.reason)}</p>\n'
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
        + f'<div class="scroll" tabindex="0" role="region" aria-label="Results">{table}</div>\n'
        f'<ul class="facts">{facts}</ul>\n<main>{"".join(sections)}</main>\n'
        f"<details><summary>Environment and settings</summary>{_environment(report)}</details>\n</body>\n</html>\n"
    )


_SCATTER = "Up and left is better. Vertical lines: 95 % interval. The line joins the rows that no other beats in both."
_DISTRIBUTIONS = (
    "Every timed inference. Solid mark: p50; dashed: p95. What took longer than the p99 is in the last bar."
)
_STAGES = "Medians, through the pipeline that the run command uses."
_OPERATORS = (
    "The file cut after each operator, the cuts timed in turn on the same runtime: a cut's time less the one before."
)


def _confusion_caption(row: Row) -> str:
    caption = "Row: the true class. Figures: per cent of that class."
    if row.accuracy is None or row.accuracy.recall_change_pp is None:
        return caption
    changes = ", ".join(f"{label} {change:+.1f}" for label, change in row.accuracy.recall_change_pp.items())
    return f"{caption} Change of recall against {row.accuracy.reference}, percentage points: {changes}."


def _section(title: str, chart: str, caption: str) -> str:
    if not chart:
        return ""
    return f"<section><h2>{escape(title)}</h2>{chart}<p>{escape(caption)}</p></section>\n"


def _table(headers: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _environment(report: BenchReport) -> str:
    values = {**report.environment.to_json(), **report.settings}
    packages = values.pop("packages")
    values["simd"] = " ".join(values["simd"]) or None
    values |= {"packages": ", ".join(f"{name} {version}" for name, version in packages.items())}
    rows = "".join(
        f'<tr><th scope="row">{escape(key.replace("_", " "))}</th><td>{escape(str(value))}</td></tr>'
        for key, value in values.items()
        if value is not None
    )
    return f"<table><tbody>{rows}</tbody></table>"
