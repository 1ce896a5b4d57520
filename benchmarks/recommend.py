"""Which row to deploy: the cheapest that is accurate and fast enough, and float32 when quantising buys too little."""

from __future__ import annotations

from collections.abc import Sequence

from ..edge_runtime.console import counted, percent
from ..edge_runtime.metrics import exceeds
from .report import Recommendation, Row

TOLERATED_DROP = 0.005
"""Without a stated minimum, a row may lie this far (a fraction) below the best row: `convert --max-drop`'s default."""
TIE = 0.05
"""Rows that cost at most this much more than the cheapest count as equal, and the most accurate of them is taken."""
WORTHWHILE = 0.8
"""A quantised file must take at most this fraction of float32's time, or float32 is kept (int8 on a Cortex-A72)."""


def recommend(
    rows: Sequence[Row], min_accuracy: float | None = None, deadline_ms: float | None = None
) -> Recommendation:
    """The cheapest row that meets both limits. Cost is median latency × threads: the core time of an inference.

    min_accuracy: fraction. deadline_ms: for the 95th percentile.
    """
    timed = [row for row in rows if row.latency and row.error is None]  # one that crashed later is nothing to deploy
    if not timed:
        return Recommendation(None, None, None, "none: no model could be measured")
    scored = [row for row in timed if row.accuracy]
    floor = min_accuracy
    if floor is None and scored:
        floor = max(_accuracy(row) for row in scored) - TOLERATED_DROP
    fit = [row for row in timed if _accurate(row, floor) and _fast(row, deadline_ms)]
    if not fit:
        return Recommendation(None, None, None, _why_none(timed, floor, deadline_ms))
    cheapest = min(map(_cost, fit))
    equals = [row for row in fit if _cost(row) <= cheapest * (1 + TIE)]
    best = min(equals, key=lambda row: (-_accuracy(row), _cost(row)))
    kept = _float_to_keep(best, fit)
    row = kept or best
    assert row.latency is not None
    parts = [f"p50 {row.latency.p50:.3f} ms, p95 {row.latency.p95:.3f} ms"]
    if row.accuracy:
        parts.append(f"accuracy {percent(_accuracy(row))}")
    if kept:
        saved = 100 * (1 - _cost(best) / _cost(kept))
        parts.append(f"keep float: {best.precision} would save only {saved:.0f} % here")
    else:
        parts.append(
            "the cheapest that meets the limits" if min_accuracy or deadline_ms else _default_rule(bool(scored))
        )
    threads = counted(row.threads, "thread")
    return Recommendation(row.model, row.precision, row.threads, f"{row.model} with {threads}: {'; '.join(parts)}")


def _default_rule(scored: bool) -> str:
    if not scored:
        return "the cheapest; accuracy was not measured (--data)"
    return f"the cheapest within {100 * TOLERATED_DROP:.1f} pp of the most accurate"


def _float_to_keep(best: Row, fit: Sequence[Row]) -> Row | None:
    """The float32 file of the same network, when it fits too and `best` is not clearly cheaper."""
    if best.precision == "float32":
        return None
    floats = [row for row in fit if row.precision == "float32" and row.same_network(best)]
    if not floats:
        return None
    cheapest = min(floats, key=_cost)
    return cheapest if _cost(best) > WORTHWHILE * _cost(cheapest) else None


def _why_none(timed: Sequence[Row], floor: float | None, deadline_ms: float | None) -> str:
    fastest = min(timed, key=lambda row: row.latency.p95 if row.latency else 0.0)
    wanted = [f"accuracy of {percent(floor)}"] if floor is not None else []
    wanted += [f"p95 of {deadline_ms:g} ms"] if deadline_ms is not None else []
    assert fastest.latency is not None
    found = [f"the fastest, {fastest.model}, has p95 {fastest.latency.p95:.3f} ms"]
    scored = [row for row in timed if row.accuracy]
    if scored:
        top = max(scored, key=_accuracy)
        found.append(f"the most accurate, {top.model}, {percent(_accuracy(top))}")
    elif floor is not None:
        found.append("accuracy was not measured (--data)")
    return f"none meets {' and '.join(wanted)}: {'; '.join(found)}"


def _accuracy(row: Row) -> float:
    return row.accuracy.metrics.accuracy if row.accuracy else 0.0


def _accurate(row: Row, floor: float | None) -> bool:
    return floor is None or (row.accuracy is not None and not exceeds(100 * (floor - _accuracy(row)), 0))


def _fast(row: Row, deadline_ms: float | None) -> bool:
    return deadline_ms is None or (row.latency is not None and row.latency.p95 <= deadline_ms)


def _cost(row: Row) -> float:
    return row.latency.p50 * row.threads if row.latency else float("inf")
