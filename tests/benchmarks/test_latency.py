from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from edge_emotion.benchmarks.latency import (
    WARMUP_LIMIT_NS,
    Latency,
    paired_ratio,
    time_calls,
    unpaired_ratio,
    warm_up,
)
from hypothesis import given
from hypothesis import strategies as st

times = st.floats(1e-3, 1e3)


class Clock:
    """Moves only when told."""

    now = 0

    def __call__(self) -> int:
        return self.now


@given(st.lists(times, min_size=1, max_size=50))
def test_quantiles_are_ordered_and_within_the_samples(samples: list[float]) -> None:
    latency = Latency.of(np.array(samples))
    assert min(samples) == latency.min <= latency.p50 <= latency.p95 <= latency.p99 <= max(samples)
    assert latency.n == len(samples)
    assert 0 <= latency.mad <= max(samples) - min(samples)


def test_one_sample_is_every_quantile() -> None:
    assert Latency.of(np.array([2.5])) == Latency(1, 2.5, 2.5, 2.5, 2.5, 2.5, 0.0)


@given(st.lists(times, min_size=1, max_size=12), st.floats(0.1, 10))
def test_a_row_that_always_takes_k_times_as_long_has_the_ratio_k(reference: list[float], k: float) -> None:
    ratio = paired_ratio([k * value for value in reference], reference)
    assert ratio.value == pytest.approx(k)
    assert ratio.ci95 == pytest.approx((k, k))


def test_a_slow_round_that_hits_both_does_not_move_the_paired_ratio() -> None:
    reference = [1.0, 1.0, 9.0, 1.0, 1.0]
    assert paired_ratio([0.5, 0.5, 4.5, 0.5, 0.5], reference).ci95 == (0.5, 0.5)


def test_ratio_interval_holds_its_value_and_repeats() -> None:
    first, second = [1.0, 1.1, 1.2, 0.9, 1.0], [2.0, 2.2, 2.1, 1.9, 2.0]
    for ratio_of in (paired_ratio, unpaired_ratio):
        ratio = ratio_of(second, first)
        assert ratio.ci95[0] < ratio.value < ratio.ci95[1]
        assert ratio == ratio_of(second, first)


def test_calls_are_timed_until_both_runs_and_seconds_are_done() -> None:
    clock = Clock()

    def call(index: int) -> None:
        clock.now += 1_000_000 * (1 + index % 2)

    assert time_calls(call, clock, 4, 0.0).tolist() == [1.0, 2.0, 1.0, 2.0]
    assert time_calls(call, clock, 1, 0.0075).tolist() == [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]


def test_warm_up_ends_when_stable() -> None:
    clock = Clock()
    delays: Iterator[int] = iter([50_000_000] * 5 + [20_000_000] * 5 + [10_000_000] * 1000)

    def call(index: int) -> None:
        clock.now += next(delays)

    runs, stable = warm_up(call, clock)
    assert stable
    assert runs == 10 + 3 * 5


def test_warm_up_gives_up_on_a_restless_model() -> None:
    clock = Clock()

    def call(index: int) -> None:
        clock.now += 10_000_000 + clock.now // 10

    runs, stable = warm_up(call, clock)
    assert not stable
    assert runs > 0
    assert clock.now > WARMUP_LIMIT_NS
