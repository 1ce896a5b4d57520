import doctest
import math

import numpy as np
import pytest
from edge_emotion.edge_runtime import metrics
from edge_emotion.edge_runtime.errors import DatasetError
from edge_emotion.edge_runtime.metrics import (
    compare,
    expected_calibration_error,
    fit_temperature,
    mcnemar_exact,
    paired_interval,
    recall_drop_pp,
    score,
    softmax,
    wilson_interval,
)
from hypothesis import given
from hypothesis import strategies as st


def test_the_docstring_examples_hold() -> None:
    assert doctest.testmod(metrics).failed == 0


@given(st.lists(st.floats(-500, 500, width=32), min_size=2, max_size=9), st.floats(0.1, 10))
def test_softmax_is_a_distribution_and_keeps_the_order(logits: list[float], temperature: float) -> None:
    values = np.array(logits, np.float32)
    p = softmax(values, temperature)
    assert p.dtype == np.float32
    assert math.isclose(p.sum(), 1, abs_tol=1e-5)
    assert p[values.argmax()] == p.max()


@given(st.integers(0, 4000), st.integers(1, 4000))
def test_wilson_contains_the_proportion_and_stays_in_range(successes: int, n: int) -> None:
    successes = min(successes, n)
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_wilson_against_a_published_value() -> None:
    # Newcombe 1998, table I: 81 of 263, method 3 (score, no continuity correction): 0.2553 to 0.3662
    assert [round(v, 4) for v in wilson_interval(81, 263)] == [0.2553, 0.3662]
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_score_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    result = score(probabilities, np.array([0, 0, 1, 1]), ("no", "yes"))
    assert result.confusion == ((2, 0), (1, 1))
    assert result.accuracy == 0.75
    assert result.per_class["no"].recall == 1
    assert result.per_class["no"].precision == pytest.approx(2 / 3)
    assert result.per_class["yes"].f1 == pytest.approx(2 / 3)
    assert result.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert result.per_class["yes"].n == 2


def test_a_class_without_images_scores_zero_not_nan() -> None:
    result = score(np.array([[0.5, 0.3, 0.2]], np.float32), np.array([0]), ("a", "b", "c"))
    assert result.per_class["c"].to_json() == {"recall": 0.0, "precision": 0.0, "f1": 0.0, "n": 0}
    assert result.macro_f1 == 1  # b and c, which no image has or was given, say nothing
    wrong = score(np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]]), np.array([0, 0]), ("a", "b", "c"))
    assert wrong.macro_f1 == pytest.approx((2 / 3 + 0) / 2)  # b was given to an image: its 0 counts


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(DatasetError, match="nothing to score"):
        score(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), ("a", "b"))
    with pytest.raises(DatasetError, match="do not fit"):
        score(np.zeros((2, 3), np.float32), np.zeros(2, np.int64), ("a", "b"))
    with pytest.raises(DatasetError, match="nothing to compare"):
        compare(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_calibration_error_by_hand() -> None:
    # confidence 0.9 always, right in half of the cases: the gap is 0.4
    probabilities = np.tile(np.array([[0.9, 0.1]]), (10, 1))
    assert expected_calibration_error(probabilities, np.array([0, 1] * 5)) == pytest.approx(0.4)
    # too sure in one bin makes up for too little in no other; 0.91 and 0.95 share a bin of ten, and none of fifteen
    for right, wrong in ((0.6, 0.9), (0.95, 0.91)):
        probabilities = np.array([[right, 1 - right], [wrong, 1 - wrong]])
        expected = ((1 - right) + wrong) / 2
        assert expected_calibration_error(probabilities, np.array([0, 1])) == pytest.approx(expected)
    assert expected_calibration_error(np.zeros((0, 2)), np.zeros(0, np.int64)) == 0
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_the_temperature_that_made_the_labels_is_found() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (20_000, 5))
    p = softmax(logits, 2.5)
    labels = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=4)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize(("n", "least", "most"), [(1, 0.9, 1.2), (8, 0.75, 2), (100, 0.3, 6), (1000, 0.15, 20)])
def test_images_that_are_all_right_or_all_wrong_are_no_reason_for_certainty(n: int, least: float, most: float) -> None:
    """The likelihood alone takes the smallest temperature that the search knows or the largest, 20, however few."""
    logits = np.tile(np.array([[2.0, 0.0, -1.0]]), (n, 1))
    assert least < fit_temperature(logits, np.zeros(n, np.int64)) < 1
    assert 1 < fit_temperature(logits, np.full(n, 2)) < most


def test_with_enough_images_of_each_outcome_the_likelihood_alone_decides() -> None:
    """Of two classes at a distance of 4, T makes the first as probable as it is frequent: 4 / T = log(odds)."""
    logits = np.tile(np.array([[4.0, 0.0]]), (300, 1))
    labels = np.repeat([0, 1], [200, 100])
    assert fit_temperature(logits, labels) == pytest.approx(4 / math.log(2), rel=1e-6)
    fewer = fit_temperature(logits[::10], labels[::10])
    assert 1 < fewer < 4 / math.log(2)


def test_a_class_of_no_probability_takes_the_temperature_to_no_limit() -> None:
    """Its likelihood is 0 at every temperature: the search went to the highest it knows."""
    impossible = np.array([[0.0, -np.inf], [0.0, -1.0], [0.0, -2.0]])
    assert 1 < fit_temperature(impossible, np.array([1, 0, 1])) < 3
    certain = np.array([[3.0, 0.0, -np.inf], [0.0, 3.0, -np.inf]])
    bounded = np.maximum(certain, -20.0)
    assert fit_temperature(certain, np.array([0, 1])) == pytest.approx(fit_temperature(bounded, np.array([0, 1])))


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(5, 5) == 1.0
    assert mcnemar_exact(0, 6) == pytest.approx(2 * 0.5**6)
    assert mcnemar_exact(6, 0) == mcnemar_exact(0, 6)


def test_the_paired_interval_by_hand() -> None:
    half = 1.959964 * math.sqrt(4 / 12 - (3 / 12) ** 2) / math.sqrt(12)  # 3 of 10 lost, and a half in each cell
    assert paired_interval(3, 0, 10) == pytest.approx((3 / 12 - half, 3 / 12 + half))


def test_comparison_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    reference = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
    variant = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 0])  # loses one, gains one
    result = compare(reference, variant, labels)
    assert result.drop_pp == 0
    assert result.flips == 2
    assert result.agreement == pytest.approx(0.8)
    assert result.drop_ci95_pp[0] == pytest.approx(-result.drop_ci95_pp[1])
    assert result.drop_ci95_pp[1] == pytest.approx(100 * 1.959964 * math.sqrt(3) / 12, rel=1e-5)
    low, high = compare(labels, labels, labels).drop_ci95_pp
    assert low < 0 < high


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_paired_interval_holds_its_estimate_and_stays_in_range(lost: int, gained: int, others: int) -> None:
    n = lost + gained + others or 1
    low, high = paired_interval(lost, gained, n)
    assert -1 <= low <= (lost - gained) / n <= high <= 1
    assert low < high
    assert paired_interval(gained, lost, n) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("n", "lose", "gain"), [(525, 0.002, 0.002), (525, 0.008, 0.004), (100, 0.02, 0.01)])
def test_the_paired_interval_covers_what_few_changes_hide(n: int, lose: float, gain: float) -> None:
    """Over all outcomes of n images; Wald's interval covers 65 to 87 %, as it has no width where none differs."""
    covered = 0.0
    for lost in range(25):
        for gained in range(25):
            low, high = paired_interval(lost, gained, n)
            if low <= lose - gain <= high:
                ways = math.comb(n, lost) * math.comb(n - lost, gained)
                covered += ways * lose**lost * gain**gained * (1 - lose - gain) ** (n - lost - gained)
    assert covered >= 0.95


def test_recall_lost_by_class() -> None:
    labels, names = np.array([0, 0, 1, 1]), ("a", "b")
    before, after = (score(np.eye(2)[guesses], labels, names) for guesses in ([0, 0, 0, 1], [0, 1, 1, 1]))
    assert recall_drop_pp(before, after) == {"a": 50, "b": -50}
    assert recall_drop_pp(after, before) == {"a": -50, "b": 50}
