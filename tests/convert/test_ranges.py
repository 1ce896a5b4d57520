from __future__ import annotations

import numpy as np
from edge_emotion.convert.ranges import RECTIFIERS, best_range, round_to_steps
from edge_emotion.edge_runtime.metrics import softmax
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

VALUES = arrays(np.float32, (50,), elements=st.floats(-20, 20, width=32))


@given(VALUES, st.floats(-20, -0.5), st.floats(0.5, 20))
def test_rounding_errs_by_half_a_step_and_keeps_zero(values: NDArray[np.float32], low: float, high: float) -> None:
    step = (high - low) / 255
    inside = np.clip(values, low + step, high - step)  # the ends lie up to half a step further in
    assert np.abs(round_to_steps(inside, low, high) - inside).max() <= step * 0.501
    assert round_to_steps(np.zeros(1, np.float32), low, high) == 0


@given(VALUES)
def test_a_chosen_range_lies_within_the_full_one_and_is_no_worse(values: NDArray[np.float32]) -> None:
    full = (min(float(values.min()), -0.1), max(float(values.max()), 0.1))
    relu6 = RECTIFIERS["RELU6"]
    low, high = best_range(values, full, relu6)
    assert full[0] <= low < high <= full[1]

    def loss(span: tuple[float, float]) -> float:
        return float(np.square(relu6(round_to_steps(values, *span)) - relu6(values)).mean(dtype=np.float64))

    assert loss((low, high)) <= loss(full)


def test_what_the_rectifier_cuts_off_gets_no_steps() -> None:
    values = np.linspace(-40, 6, 5000, dtype=np.float32)
    low, high = best_range(values, (-40.0, 6.0), RECTIFIERS["RELU6"])
    assert low == -8.0  # the narrowest that is tried: nothing below zero is seen
    assert high == 6.0


def test_values_that_all_count_keep_their_range() -> None:
    values = np.linspace(-5, 5, 5000, dtype=np.float32)
    assert best_range(values, (-5.0, 5.0), RECTIFIERS["NONE"]) == (-5.0, 5.0)


def test_logits_that_a_softmax_hides_lose_their_steps() -> None:
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.uniform(0, 3, (500, 2)), rng.uniform(-60, -30, (500, 2))], axis=1).astype(np.float32)
    low, high = best_range(logits, (-60.0, 3.0), softmax)
    assert low >= -15.0
    assert high > 2.9


def test_a_tensor_that_is_zero_throughout_keeps_its_range() -> None:
    assert best_range(np.zeros(9, np.float32), (0.0, 0.0), RECTIFIERS["RELU"]) == (0.0, 0.0)
