"""The charts of the HTML report. Each takes rows and gives an SVG, or an empty string when there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .report import Row
from .sustained import Sustained
from .svg import Scale, figure, log_padded, padded, tag, text

WIDTH = 420.0
LEFT = 46.0
RIGHT = 10.0
PRECISIONS = ("float32", "float16", "dynamic", "int8")
DISTRIBUTION_BINS = 60
CHARACTER = 7.2
"""Width of a character of a label, about."""


def colour(precision: str) -> str:
    """The CSS colour of a precision; others share the fifth."""
    number = PRECISIONS.index(precision) + 1 if precision in PRECISIONS else 5
    return f"var(--c{number})"


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (cost, value) that no other beats in both, cheapest first.

    >>> pareto_front([(1.0, 0.5), (2.0, 0.4), (3.0, 0.6)])
    [0, 2]
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def scatter(rows: Sequence[Row]) -> str:
    """Accuracy with its interval against median latency; the Pareto front as a line."""
    shown = [(row, row.latency.p50, row.accuracy.metrics) for row in rows if row.latency and row.accuracy]
    if not shown:
        return ""
    height, bottom = 300.0, 262.0
    x = Scale(*log_padded([p50 for _, p50, _ in shown]), LEFT, WIDTH - RIGHT, log=True)
    bounds = [100 * bound for _, _, metrics in shown for bound in metrics.accuracy_ci95]
    y = Scale(*padded(bounds), bottom, 14.0)
    parts = [*_x_axis(x, bottom, "p50 latency, ms (log)"), *_y_axis(y, "accuracy, %")]
    places = [(p50, metrics.accuracy) for _, p50, metrics in shown]
    front = [f"{x(places[i][0]):.1f},{y(100 * places[i][1]):.1f}" for i in pareto_front(places)]
    parts.append(tag("polyline", points=" ".join(front), class_="front"))
    boxes = [(x(p50) - 6, 12.0, y(100 * metrics.accuracy) + 4) for _, p50, metrics in shown]
    for row, p50, metrics in shown:
        px, py = x(p50), y(100 * metrics.accuracy)
        low, high = (y(100 * bound) for bound in metrics.accuracy_ci95)
        parts.append(tag("line", x1=px, x2=px, y1=low, y2=high, stroke=colour(row.precision), opacity=0.45))
        parts.append(tag("circle", cx=px, cy=py, r=5, fill=colour(row.precision)))
        name = f"{row.model} ×{row.threads}" if len({r.threads for r in rows}) > 1 else row.model
        width = CHARACTER * len(name)
        left = px - 8 - width if px + 8 + width > WIDTH else px + 8
        baseline = _free(boxes, left, width, py + 4, (20.0, bottom - 6))
        if abs(baseline - py - 4) > 12:
            parts.append(tag("line", x1=px, y1=py, x2=px + (3 if left > px else -3), y2=baseline - 4, class_="axis"))
        parts.append(text(left, baseline, name, class_="label"))
    return figure(WIDTH, height, "accuracy against latency", parts)


def distributions(rows: Sequence[Row]) -> str:
    """How each row's samples are spread, up to the 99th percentile of the slowest; p50 and p95 marked."""
    shown = [(row, row.samples_ms, row.latency) for row in rows if row.samples_ms is not None and row.latency]
    if not shown:
        return ""
    band = 46.0
    bottom = 8 + band * len(shown)
    x = Scale(
        *log_padded([v for _, _, summary in shown for v in (summary.min, summary.p99)]), RIGHT, WIDTH - RIGHT, log=True
    )
    edges = np.geomspace(x.low, x.high, DISTRIBUTION_BINS + 1)
    parts = _x_axis(x, bottom, "milliseconds an inference (log)")
    for index, (row, samples, latency) in enumerate(shown):
        base = 8 + band * (index + 1) - 4
        counts = np.histogram(np.clip(samples, x.low, x.high), edges)[0]
        tops = base - (band - 22) * counts / max(int(counts.max()), 1)
        steps = [f"{x(edges[i]):.1f},{tops[i]:.1f} {x(edges[i + 1]):.1f},{tops[i]:.1f}" for i in range(len(tops))]
        outline = f"{x(edges[0]):.1f},{base:.1f} {' '.join(steps)} {x(edges[-1]):.1f},{base:.1f}"
        parts.append(tag("polygon", points=outline, fill=colour(row.precision), opacity=0.75))
        parts.append(tag("line", x1=x.start, x2=x.end, y1=base, y2=base, class_="axis"))
        for value, dash in ((latency.p50, "none"), (latency.p95, "3 2")):
            ends = {"x1": x(value), "x2": x(value), "y1": base - band + 24, "y2": base}
            parts.append(tag("line", class_="mark", stroke_dasharray=dash, **ends))
        parts.append(text(x.end, base - band + 16, row.label, text_anchor="end", class_="label"))
    return figure(WIDTH, bottom + 38, "latency distributions", parts)


def confusion(row: Row) -> str:
    """The confusion matrix: rows true, columns predicted, shade and figure the share of the true class in per cent."""
    if row.accuracy is None:
        return ""
    metrics = row.accuracy.metrics
    count = len(metrics.labels)
    left, top = 74.0, 26.0
    cell = (WIDTH - left - RIGHT) / count
    tall = min(cell, 40.0)
    parts = []
    for i, label in enumerate(metrics.labels):
        parts.append(text(left - 6, top + tall * (i + 0.5) + 4, label[:10], text_anchor="end"))
        parts.append(text(left + cell * (i + 0.5), top - 8, label[:8], text_anchor="middle", class_="small"))
        total = sum(metrics.confusion[i])
        for j, value in enumerate(metrics.confusion[i]):
            share = value / total if total else 0.0
            place = {"x": left + cell * j, "y": top + tall * i, "width": cell - 1.5, "height": tall - 1.5}
            parts.append(tag("rect", class_="cell", **place))
            parts.append(tag("rect", class_="heat", opacity=share, **place))
            middle = (left + cell * (j + 0.5), top + tall * (i + 0.5) + 4)
            kind = "on" if share > 0.55 else "off"
            parts.append(text(*middle, f"{100 * share:.0f}", text_anchor="middle", class_=kind))
    return figure(WIDTH, top + tall * count + 4, f"confusion of {row.model}", parts)


def stages(rows: Sequence[Row]) -> str:
    """The stages of a frame, one bar a row."""
    shown = [row for row in rows if row.footage and row.stages_ms]
    if not shown:
        return ""
    names = [name for name in shown[0].stages_ms if name != "total"]
    band, top = 40.0, 30.0
    bottom = top + band * len(shown)
    longest = max(sum(row.stages_ms[name] for name in names) for row in shown)
    x = Scale(0.0, max(longest * 1.02, 1e-6), RIGHT, WIDTH - RIGHT)
    parts = _x_axis(x, bottom, "milliseconds a frame")
    for index, name in enumerate(names):
        parts.append(tag("rect", x=RIGHT + index * 80, y=6, width=10, height=10, fill=f"var(--c{index + 1})"))
        parts.append(text(RIGHT + index * 80 + 14, 15, name, class_="small"))
    for number, row in enumerate(shown):
        y, start = top + band * number, 0.0
        parts.append(text(RIGHT, y + 10, row.label, class_="label"))
        for index, name in enumerate(names):
            end = start + row.stages_ms[name]
            parts.append(
                tag("rect", x=x(start), y=y + 15, width=x(end) - x(start), height=16, fill=f"var(--c{index + 1})")
            )
            start = end
    return figure(WIDTH, bottom + 38, "stages of a frame", parts)


def operators(row: Row) -> str:
    """Time of each operator, in the order of the network."""
    if not row.profiled:
        return ""
    timed = [(operator, max(operator.ms, 0.0)) for operator in row.operators if operator.ms]
    band, left = 17.0, 190.0
    bottom = 4 + band * len(timed)
    x = Scale(0.0, max(max(ms for _, ms in timed) * 1000, 1e-3), left, WIDTH - 40)
    parts = _x_axis(x, bottom, "microseconds")
    for index, (operator, ms) in enumerate(timed):
        y = 4 + band * index
        parts.append(text(left - 6, y + 12, operator.title, text_anchor="end", class_="small"))
        parts.append(
            tag("rect", x=left, y=y + 2, width=x(1000 * ms) - left, height=band - 4, fill=colour(row.precision))
        )
        parts.append(text(x(1000 * ms) + 4, y + 12, f"{1000 * ms:.1f}", class_="small"))
    return figure(WIDTH, bottom + 38, f"operators of {row.model}", parts)


def sustained(run: Sustained) -> str:
    """Latency over time and, in panels of their own, temperature and clock where the machine tells them."""
    if len(run.points) < 2:
        return ""
    panels: list[tuple[str, list[float | None]]] = [
        ("p50, ms", [point.p50_ms for point in run.points]),
        ("temperature, °C", [point.vitals.temperature_c for point in run.points]),
        ("clock, MHz", [point.vitals.clock_mhz for point in run.points]),
    ]
    told = [(name, values) for name, values in panels if any(value is not None for value in values)]
    times = [point.time_s for point in run.points]
    x = Scale(0.0, times[-1], LEFT, WIDTH - RIGHT)
    parts, top = [], 0.0
    for index, (name, values) in enumerate(told):
        present = [(t, v) for t, v in zip(times, values, strict=True) if v is not None]
        y = Scale(*padded([v for _, v in present]), top + 120, top + 24)
        parts += _y_axis(y, name)
        line = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in present)
        parts.append(tag("polyline", points=line, fill="none", stroke=f"var(--c{index + 1})", stroke_width=2))
        for point in run.points if index == 0 else ():
            if point.vitals.throttled:
                parts.append(tag("circle", cx=x(point.time_s), cy=y(point.p50_ms), r=4, fill="var(--bad)"))
        top += 130
    parts += _x_axis(x, top - 8, "seconds of inference")
    return figure(WIDTH, top + 30, "latency over time", parts)


def _x_axis(x: Scale, y: float, title: str) -> list[str]:
    parts = [tag("line", x1=x.start, x2=x.end, y1=y, y2=y, class_="axis")]
    last = float("-inf")
    for tick in x.ticks():
        if x(tick) - last < 30:
            continue
        last = x(tick)
        parts.append(tag("line", x1=last, x2=last, y1=y, y2=y + 4, class_="axis"))
        parts.append(text(last, y + 17, f"{tick:g}", text_anchor="middle", class_="small"))
    parts.append(text((x.start + x.end) / 2, y + 32, title, text_anchor="middle", class_="small"))
    return parts


def _y_axis(y: Scale, title: str) -> list[str]:
    parts = [text(4, y.end - 3, title, class_="small")]
    for tick in y.ticks(4):
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(text(LEFT - 5, y(tick) + 4, f"{tick:g}", text_anchor="end", class_="small"))
    return parts


def _free(
    boxes: list[tuple[float, float, float]], left: float, width: float, y: float, room: tuple[float, float]
) -> float:
    """The baseline nearest to y within the room where a label overlaps none of the boxes (left, width, baseline)."""
    steps = sorted((13.0 * step for step in range(-20, 21)), key=abs)
    candidates = [y + step for step in steps if room[0] <= y + step <= room[1]] or [y]
    clear = [
        candidate
        for candidate in candidates
        if all(
            left + width < start or start + wide < left or abs(candidate - other) > 12 for start, wide, other in boxes
        )
    ]
    baseline = (clear or candidates)[0]
    boxes.append((left, width, baseline))
    return baseline
