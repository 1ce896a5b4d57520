"""Minutes of work without a pause: does the board keep its speed, or does it throttle?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .environment import Vitals
from .latency import Ratio, unpaired_ratio

SLICE_S = 1.0
"""One point of the curve."""
SLOWER = 1.05
"""When the whole interval of the last minute's median over the first's lies above this, the board slows down."""
UNSURE = 1.10
"""When it lies below this, the board keeps its speed; in between nobody can tell."""


@dataclass(frozen=True)
class Point:
    """The median latency of one slice, and the machine's state at its end."""

    time_s: float
    p50_ms: float
    vitals: Vitals

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {"time_s": self.time_s, "p50_ms": self.p50_ms, **self.vitals.to_json()}


@dataclass(frozen=True)
class Sustained:
    """A curve over time of one row; `ratio` is its last minute's latency over its first's (thirds of a shorter run)."""

    model: str
    threads: int
    seconds: float
    points: tuple[Point, ...]
    ratio: Ratio | None

    @property
    def points_s(self) -> float:
        """Seconds of inference that were done."""
        return self.points[-1].time_s if self.points else 0.0

    @property
    def verdict(self) -> str:
        """A sentence."""
        if self.ratio is None:
            return "too short to compare the first and the last minute"
        low, high = self.ratio.ci95
        change = 100 * (self.ratio.value - 1)
        span = f"last against first: {change:+.1f} % ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f})"
        throttled = sorted({name for point in self.points for name in point.vitals.throttled or ()})
        heat = f"; THROTTLED: {', '.join(throttled)}" if throttled else ""
        if low > SLOWER:
            return f"slows down, {span}{heat}"
        return f"{'keeps its speed' if high <= UNSURE else 'too noisy to tell'}, {span}{heat}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "model": self.model,
            "threads": self.threads,
            "seconds": self.seconds,
            "ratio": self.ratio.to_json() if self.ratio else None,
            "verdict": self.verdict,
            "points": [point.to_json() for point in self.points],
        }


def sustain(run: Callable[[float], list[float]], vitals: Callable[[], Vitals], seconds: float) -> Iterator[Point]:
    """Call `run(SLICE_S)`, which gives milliseconds, until `seconds` of inference are done or it gives none."""
    elapsed_ms = 0.0
    while elapsed_ms < 1e3 * seconds:
        samples = run(min(SLICE_S, seconds))
        if not samples:
            return
        elapsed_ms += sum(samples)
        yield Point(round(elapsed_ms / 1e3, 3), float(np.median(samples)), vitals())


def first_and_last(points: tuple[Point, ...]) -> Ratio | None:
    """The last minute's median over the first's; of a run under three minutes, thirds; None under six points."""
    if len(points) < 6:
        return None
    end = points[-1].time_s
    span = min(60.0, end / 3)
    first = [point.p50_ms for point in points if point.time_s <= points[0].time_s + span]
    last = [point.p50_ms for point in points if point.time_s >= end - span]
    return unpaired_ratio(last, first)
