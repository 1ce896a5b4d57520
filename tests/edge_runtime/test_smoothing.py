from itertools import pairwise

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.smoothing import Smoothing, SteadyLabel
from hypothesis import given
from hypothesis import strategies as st

HAPPY, SAD = np.array([0.9, 0.1]), np.array([0.1, 0.9])


def changes(labels: list[int]) -> int:
    return sum(a != b for a, b in pairwise(labels))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 5), st.floats(0.001, 1))
def test_the_average_is_a_distribution_within_what_was_seen(seen: list[float], half_life: float, step: float) -> None:
    steady = SteadyLabel(Smoothing(half_life))
    for index, p in enumerate(seen):
        average = steady.update(np.array([p, 1 - p]), index * step)
        assert average.sum() == pytest.approx(1)
        assert min(seen) - 1e-9 <= average[0] <= max(seen) + 1e-9


def test_an_observation_weighs_half_after_the_half_life() -> None:
    steady = SteadyLabel(Smoothing(half_life_s=2.0))
    steady.update(np.array([1.0, 0.0]), 0.0)
    np.testing.assert_allclose(steady.update(np.array([0.0, 1.0]), 2.0), [1 / 3, 2 / 3])  # weights ½ and 1


def test_the_average_depends_on_media_time_not_on_the_number_of_frames() -> None:
    def answer(fps: int) -> float:
        steady = SteadyLabel(Smoothing(0.5))
        for index in range(2 * fps):
            average = steady.update(HAPPY if index < fps else SAD, index / fps)
        return float(average[1])

    assert answer(10) == pytest.approx(answer(60), abs=0.05)


def test_without_averaging_each_frame_stands_alone() -> None:
    steady = SteadyLabel(Smoothing(half_life_s=0))
    steady.update(HAPPY, 0.0)
    np.testing.assert_array_equal(steady.update(SAD, 0.04), SAD)


def test_flicker_is_calmed_and_a_real_change_comes_through() -> None:
    rng = np.random.default_rng(0)
    steady = SteadyLabel(Smoothing(0.5))
    raw, shown = [], []
    for index in range(500):
        mood = 0.6 if index < 250 else 0.4
        p = float(np.clip(mood + rng.normal(0, 0.15), 0, 1))
        raw.append(int(p < 0.5))
        steady.update(np.array([p, 1 - p]), index / 25)
        shown.append(steady.index)
    assert changes(raw) > 50
    assert changes(shown) == 1
    assert shown[-1] == 1


def test_another_label_must_lead_by_the_margin() -> None:
    steady = SteadyLabel(Smoothing(0, margin=0.2))
    steady.update(np.array([0.6, 0.4]), 0)
    steady.update(np.array([0.42, 0.58]), 1)
    assert steady.index == 0
    steady.update(np.array([0.39, 0.61]), 2)
    assert steady.index == 1


def test_steady_begins_at_settle_and_ends_under_unsettle() -> None:
    steady = SteadyLabel(Smoothing(0, settle=0.6, unsettle=0.5))
    states = []
    for p in (0.55, 0.65, 0.55, 0.51, 0.49, 0.55):
        steady.update(np.array([p, (1 - p) / 2, (1 - p) / 2]), 0.0)
        states.append(steady.state)
    assert states == ["uncertain", "steady", "steady", "steady", "uncertain", "uncertain"]


def test_a_clock_that_falls_stands_still() -> None:
    steady = SteadyLabel(Smoothing(1.0))
    steady.update(HAPPY, 10.0)
    np.testing.assert_allclose(steady.update(SAD, 3.0), [0.5, 0.5])


def test_after_a_very_long_time_only_the_present_counts() -> None:
    steady = SteadyLabel(Smoothing(0.1))
    steady.update(HAPPY, 0.0)
    np.testing.assert_allclose(steady.update(SAD, 1e9), SAD)


@pytest.mark.parametrize(
    "values",
    [
        {"half_life_s": -1},
        {"half_life_s": float("nan")},
        {"margin": 1.0},
        {"settle": 0.3, "unsettle": 0.4},
        {"settle": 2},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Smoothing(**values)
