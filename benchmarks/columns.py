"""The columns of the report's table: title → the cell of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..edge_runtime.console import percent_ci
from .report import Row

Columns = Mapping[str, Callable[[Row], str]]
MISSING = "–"


def columns(rows: Sequence[Row], chosen: Columns) -> tuple[list[str], list[list[str]]]:
    """Headers and the cells of each row; columns of what was not measured in any row are left out."""
    filled = {
        title: [cell(row) for row in rows]
        for title, cell in chosen.items()
        if title in ALWAYS or any(cell(row) != MISSING for row in rows)
    }
    return list(filled), [list(cells) for cells in zip(*filled.values(), strict=True)]


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _latency(row: Row, key: str) -> str:
    return _number(getattr(row.latency, key) if row.latency else None, 3)


def _accuracy(row: Row) -> str:
    metrics = row.accuracy.metrics if row.accuracy else None
    return percent_ci(metrics.accuracy, metrics.accuracy_ci95) if metrics else MISSING


def _drop(row: Row) -> str:
    drop = row.accuracy.drop if row.accuracy else None
    if drop is None:
        return MISSING
    low, high = drop.drop_ci95_pp
    return f"{drop.drop_pp:+.2f} ({low:+.2f} to {high:+.2f})"


def _half_width(interval: tuple[float, float], digits: int) -> str:
    return f"±{(interval[1] - interval[0]) / 2:.{digits}f}"


def _brief_accuracy(row: Row) -> str:
    metrics = row.accuracy.metrics if row.accuracy else None
    if metrics is None:
        return MISSING
    low, high = metrics.accuracy_ci95
    return f"{100 * metrics.accuracy:.2f} {_half_width((100 * low, 100 * high), 1)}"


def _brief_drop(row: Row) -> str:
    drop = row.accuracy.drop if row.accuracy else None
    return f"{drop.drop_pp:+.2f} {_half_width(drop.drop_ci95_pp, 2)}" if drop else MISSING


def _p(row: Row) -> str:
    return _number(row.accuracy.drop.mcnemar_p if row.accuracy and row.accuracy.drop else None, 3)


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return MISSING
    low, high = row.ratio.ci95
    return f"{row.ratio.value:.2f}" if low == high else f"{row.ratio.value:.2f} ({low:.2f}–{high:.2f})"


def _f1(row: Row) -> str:
    return _number(row.accuracy.metrics.macro_f1 if row.accuracy else None, 3)


def _ece(row: Row) -> str:
    return _number(row.accuracy.metrics.ece if row.accuracy else None, 3)


FULL: Columns = {
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
"""For a page: every figure with its interval."""
BRIEF: Columns = {
    **{title: FULL[title] for title in ("model", "precision", "threads", "size kB")},
    "accuracy %": _brief_accuracy,
    "drop pp": _brief_drop,
    "p": _p,
    **{title: FULL[title] for title in ("p50 ms", "p95 ms", "p99 ms")},
    "× ref": lambda row: _number(row.ratio.value if row.ratio else None, 2),
    "RSS MB": FULL["RSS MB"],
}
"""For a terminal: what a choice needs, about 110 characters wide; ± is half the width of the 95 % interval."""
ALWAYS = frozenset({"model", "precision", "threads", "size kB", "p50 ms", "p95 ms", "p99 ms"})
