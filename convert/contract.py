"""What a conversion may cost, and what it did cost: paired statistics against the float model on the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..edge_runtime.errors import OptionError
from ..edge_runtime.evaluate import Evaluation
from ..edge_runtime.metrics import (
    PairedComparison,
    compare,
    exceeds,
    expected_calibration_error,
    recall_drop_pp,
    softmax,
)

MAX_DROP_PP = 0.5
ENFORCED_FROM = 1000
"""Below so many images a drop of half a point is a handful of images: reported, not enforced unless asked for."""


@dataclass(frozen=True)
class Contract:
    """Limits in percentage points of accuracy, and of each class's recall (None: not limited).

    explicit: the user asked for max_drop_pp, so it binds with few images too; a class limit always does.
    """

    max_drop_pp: float = MAX_DROP_PP
    max_class_drop_pp: float | None = None
    explicit: bool = False

    def __post_init__(self) -> None:
        for option, value in (("--max-drop", self.max_drop_pp), ("--max-class-drop", self.max_class_drop_pp)):
            if value is not None and not 0 <= value <= 100:
                raise OptionError(f"{option} is 0 to 100 percentage points, got {value}")

    def enforced(self, n: int) -> bool:
        """Whether max_drop_pp binds with n validation images."""
        return self.explicit or n >= ENFORCED_FROM

    def breaches(self, cost: Cost) -> tuple[str, ...]:
        """What exceeds a limit, in words; empty when the contract is met."""
        return (*self._overall(cost), *self._by_class(cost))

    def binding(self, cost: Cost) -> tuple[str, ...]:
        """Those breaches for which a file is refused: with few images only of a limit that the user gave."""
        return (*(self._overall(cost) if self.enforced(cost.paired.n) else ()), *self._by_class(cost))

    def _overall(self, cost: Cost) -> tuple[str, ...]:
        if not exceeds(cost.paired.drop_pp, self.max_drop_pp):
            return ()
        low, high = cost.paired.drop_ci95_pp
        fell = f"accuracy fell by {cost.paired.drop_pp:.2f} pp ({low:.2f} to {high:.2f})"
        return (f"{fell}, the limit is {self.max_drop_pp:g}",)

    def _by_class(self, cost: Cost) -> tuple[str, ...]:
        limit = self.max_class_drop_pp
        return tuple(
            f"recall of {label} fell by {drop:.2f} pp, the limit is {limit:g}"
            for label, drop in cost.class_drop_pp.items()
            if limit is not None and exceeds(drop, limit)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**dataclasses.asdict(self), "enforced_from_n": ENFORCED_FROM}


DEFAULT = Contract()


@dataclass(frozen=True)
class Cost:
    """What a converted file does differently from the float model, on the same images.

    class_drop_pp: recall lost by class, percentage points. confidence_drift: mean change of the top label's probability
    (both at their own temperature); confidence_drift_abs: mean of its absolute value. ece_raw and ece: calibration
    error before and after the temperature was refitted on these very images (so `ece` is a little optimistic).
    """

    paired: PairedComparison
    class_drop_pp: Mapping[str, float]
    confidence_drift: float
    confidence_drift_abs: float
    ece_raw: float
    ece: float

    @classmethod
    def between(cls, reference: Evaluation, variant: Evaluation) -> Cost:
        """The cost of `variant` against `reference`, evaluations of the same split at their own temperatures."""
        labels = variant.split.labels
        drift = variant.probabilities.max(axis=1) - reference.probabilities.max(axis=1)
        return cls(
            paired=compare(reference.predicted, variant.predicted, labels),
            class_drop_pp=recall_drop_pp(reference.metrics, variant.metrics),
            confidence_drift=float(drift.mean()),
            confidence_drift_abs=float(np.abs(drift).mean()),
            ece_raw=expected_calibration_error(softmax(variant.logits), labels),
            ece=variant.metrics.ece,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict; the paired figures are at the top level."""
        return {
            **self.paired.to_json(),
            "class_drop_pp": dict(self.class_drop_pp),
            "confidence_drift": self.confidence_drift,
            "confidence_drift_abs": self.confidence_drift_abs,
            "ece_raw": self.ece_raw,
            "ece": self.ece,
        }
