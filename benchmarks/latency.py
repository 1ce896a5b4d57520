"""Time samples and what may be said of them: quantiles, spread, and ratios with an interval.

Samples come in rounds. Within a round neighbouring samples share the state of the machine, so the interval of a ratio
resamples whole rounds (a block bootstrap; Efron & Tibshirani 1993, 8.6) and never single samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
"""Milliseconds, (N,)."""

RESAMPLES = 2000
STABLE_WITHIN = 0.05
"""Warm-up ends when the medians of the last `STABLE_WINDOWS` windows lie within this fraction of each other."""
STABLE_WINDOWS = 3
WINDOW_MIN_RUNS = 5
WINDOW_NS = 30_000_000
WARMUP_LIMIT_NS = 3_000_000_000


@dataclass(frozen=True)
class Latency:
    """Summary of N samples in milliseconds. mad is the median absolute deviation from the median, unscaled."""

    n: int
    p50: float
    p95: float
    p99: float
    mean: float
    min: float
    mad: float

    @classmethod
    def of(cls, samples: Samples) -> Latency:
        """Summarise at least one sample. Quantiles are interpolated linearly (Hyndman & Fan 1996, type 7)."""
        p50, p95, p99 = (float(v) for v in np.percentile(samples, [50, 95, 99]))
        return cls(
            n=len(samples),
            p50=p50,
            p95=p95,
            p99=p99,
            mean=float(samples.mean()),
            min=float(samples.min()),
            mad=float(np.median(np.abs(samples - p50))),
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class Ratio:
    """How many times the reference's median this takes, with its 95 % bootstrap interval."""

    value: float
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {"value": self.value, "ci95": list(self.ci95)}


def paired_ratio(medians: Sequence[float], reference: Sequence[float], seed: int = 0) -> Ratio:
    """Ratio of two rows that were measured in the same rounds, from their round medians (R,).

    The statistic is the median over rounds of (row / reference), so that a slow round hits both and cancels.

    >>> paired_ratio([2.0, 4.0, 2.2], [1.0, 2.0, 1.1]).value
    2.0
    """
    quotients = np.asarray(medians, np.float64) / np.asarray(reference, np.float64)
    drawn = np.random.default_rng(seed).integers(len(quotients), size=(RESAMPLES, len(quotients)))
    low, high = np.percentile(np.median(quotients[drawn], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(quotients)), (float(low), float(high)))


def unpaired_ratio(medians: Sequence[float], reference: Sequence[float], seed: int = 0) -> Ratio:
    """Ratio of two rows measured at different times, from their round medians; each side is resampled on its own."""
    rng = np.random.default_rng(seed)

    def resampled(values: Sequence[float]) -> Samples:
        array = np.asarray(values, np.float64)
        return np.asarray(np.median(array[rng.integers(len(array), size=(RESAMPLES, len(array)))], axis=1))

    low, high = np.percentile(resampled(medians) / resampled(reference), [2.5, 97.5])
    return Ratio(float(np.median(medians) / np.median(reference)), (float(low), float(high)))


def time_calls(call: Callable[[int], object], clock: Callable[[], int], runs: int, seconds: float) -> Samples:
    """Call `call(i)` at least `runs` times and for at least `seconds`; each call's time in milliseconds.

    clock: nanoseconds, monotonic.
    """
    samples: list[int] = []
    end = clock() + int(seconds * 1e9)
    while True:
        begin = clock()
        call(len(samples))
        finish = clock()
        samples.append(finish - begin)
        if len(samples) >= runs and finish >= end:
            return np.asarray(samples, np.float64) / 1e6


def warm_up(call: Callable[[int], object], clock: Callable[[], int]) -> tuple[int, bool]:
    """Call until times are stable; returns the number of calls, and whether they became so before the limit."""
    medians: list[float] = []
    calls, start = 0, clock()
    while clock() - start < WARMUP_LIMIT_NS:
        window = time_calls(call, clock, WINDOW_MIN_RUNS, WINDOW_NS / 1e9)
        calls += len(window)
        medians = [*medians, float(np.median(window))][-STABLE_WINDOWS:]
        if len(medians) == STABLE_WINDOWS and max(medians) <= (1 + STABLE_WITHIN) * min(medians):
            return calls, True
    return calls, False
