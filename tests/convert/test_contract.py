from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from edge_emotion.convert.contract import ENFORCED_FROM, Contract, Cost
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.evaluate import Evaluation

from .conftest import shades


def answers(split: Split, predicted: list[int], confidence: float | list[float] = 0.8) -> Evaluation:
    """An evaluation in which each image gets this label with this probability."""
    classes, given = len(split.classes), np.broadcast_to(confidence, len(split))
    logits = np.log((1 - given) / (classes - 1))[:, None].repeat(classes, axis=1).astype(np.float32)
    logits[np.arange(len(split)), predicted] = np.log(given)
    return Evaluation.of_logits(split, logits)


@pytest.fixture
def ten() -> Split:
    return shades("validation", 5, 0).take(np.arange(10))  # five dark, five grey


def test_the_cost_of_two_lost_images(ten: Split) -> None:
    truth = [0] * 5 + [1] * 5
    changed = [1, 1, 0, 0, 0] + [1] * 5
    cost = Cost.between(answers(ten, truth), answers(ten, changed, 0.6))
    assert cost.paired.drop_pp == pytest.approx(20)
    assert cost.paired.flips == 2
    assert cost.paired.agreement == pytest.approx(0.8)
    assert cost.paired.mcnemar_p == pytest.approx(0.5)  # two of two one way: 2 · (1/2)²
    assert cost.class_drop_pp == pytest.approx({"dark": 40, "grey": 0, "bright": 0})
    assert cost.confidence_drift == pytest.approx(-0.2)
    assert cost.confidence_drift_abs == pytest.approx(0.2)
    assert cost.ece == pytest.approx(0.2)  # 60 % sure, 80 % right


def test_drifts_that_cancel_out_are_seen(ten: Split) -> None:
    truth = [0] * 5 + [1] * 5
    cost = Cost.between(answers(ten, truth, 0.7), answers(ten, truth, [0.9] * 5 + [0.5] * 5))
    assert cost.confidence_drift == pytest.approx(0, abs=1e-6)
    assert cost.confidence_drift_abs == pytest.approx(0.2)


def test_the_same_answers_cost_nothing(ten: Split) -> None:
    same = answers(ten, [0] * 10)
    cost = Cost.between(same, same)
    assert (cost.paired.drop_pp, cost.paired.flips, cost.paired.mcnemar_p, cost.confidence_drift) == (0, 0, 1, 0)
    assert Contract(0).breaches(cost) == ()


def test_calibration_error_before_and_after_the_temperature(ten: Split) -> None:
    logits = answers(ten, [0] * 10, 0.9).logits
    reference = Evaluation.of_logits(ten, logits)
    cooled = Evaluation.of_logits(ten, logits, temperature=1000.0)
    cost = Cost.between(reference, cooled)
    assert cost.ece_raw == pytest.approx(0.4)  # 90 % sure, 50 % right
    assert cost.ece == pytest.approx(0.5 - 1 / 3, abs=1e-2)


def test_a_drop_of_exactly_the_limit_is_allowed(ten: Split) -> None:
    cost = Cost.between(answers(ten, [0] * 5 + [1] * 5), answers(ten, [1] + [0] * 4 + [1] * 5))
    assert Contract(10).breaches(cost) == ()
    (breach,) = Contract(9.9).breaches(cost)
    assert "accuracy fell by 10.00 pp" in breach
    (breach,) = Contract(50, max_class_drop_pp=19).breaches(cost)
    assert "recall of dark fell by 20.00 pp" in breach


def test_few_images_are_enforced_only_when_asked() -> None:
    assert not Contract().enforced(ENFORCED_FROM - 1)
    assert Contract().enforced(ENFORCED_FROM)
    assert Contract(explicit=True).enforced(1)


def test_with_few_images_only_a_limit_that_was_given_rejects(ten: Split) -> None:
    """One of five dark images is lost: 10 points of accuracy, 20 of the recall of dark."""
    cost = Cost.between(answers(ten, [0] * 5 + [1] * 5), answers(ten, [1] + [0] * 4 + [1] * 5))
    assert not Contract().binding(cost)
    assert not Contract(max_class_drop_pp=20).binding(cost)
    assert Contract(max_class_drop_pp=19).binding(cost)
    assert Contract(explicit=True).binding(cost)
    assert not Contract(10, explicit=True).binding(cost)
    many = dataclasses.replace(cost, paired=dataclasses.replace(cost.paired, n=ENFORCED_FROM))
    assert Contract().binding(many)


@pytest.mark.parametrize("value", [-0.1, 100.1, float("nan")])
def test_a_limit_is_a_percentage(value: float) -> None:
    with pytest.raises(OptionError, match="--max-drop"):
        Contract(value)
    with pytest.raises(OptionError, match="--max-class-drop"):
        Contract(1, value)
