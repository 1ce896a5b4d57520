"""Classification metrics in numpy. The same figures for training, conversion, evaluation and benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError

Floats = NDArray[np.floating[Any]]
Z95 = 1.959963984540054
ECE_BINS = 15
TEMPERATURE_SPREAD = 0.25
"""Standard deviation of the prior on log T: it says that 95 % of networks need a temperature between 0.61 and 1.63."""
ENOUGH_OF_EACH = 100
"""So many images of either outcome, right and wrong, tell the temperature without a prior."""


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float32]:
    """Softmax over the last axis of logits / temperature, float32, rows sum to 1.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5], dtype=float32)
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True), np.float32)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion (Wilson 1927); (0, 1) when n is 0.

    >>> tuple(round(v, 4) for v in wilson_interval(50, 100))
    (0.4038, 0.5962)
    """
    if n == 0:
        return (0.0, 1.0)
    p, z2 = successes / n, Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (max(0.0, centre - half), min(1.0, centre + half))


def paired_interval(lost: int, gained: int, n: int) -> tuple[float, float]:
    """95 % interval of (lost - gained) / n, a difference of two proportions of the same n > 0 images, within -1 to 1.

    lost, gained: images that only the first, and only the second, has right. Wald's interval with ½ added to each of
    the four cells (Agresti & Min 2005), which has a width also where no image differs.

    >>> tuple(round(v, 4) for v in paired_interval(0, 0, 525))
    (-0.0037, 0.0037)
    """
    centre = (lost - gained) / (n + 2)
    half = Z95 * math.sqrt((lost + gained + 1) / (n + 2) - centre**2) / math.sqrt(n + 2)
    return (max(-1.0, centre - half), min(1.0, centre + half))


def expected_calibration_error(probabilities: Floats, labels: NDArray[np.integer[Any]]) -> float:
    """ECE of the top label with 15 equal-width bins (Naeini 2015; Guo 2017), 0 to 1.

    probabilities: (N, C). labels: (N,).
    """
    if len(labels) == 0:
        return 0.0
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(bins, confidence, ECE_BINS) - np.bincount(bins, correct, ECE_BINS)
    return float(np.abs(gap).sum() / len(labels))


def fit_temperature(logits: Floats, labels: NDArray[np.integer[Any]]) -> float:
    """The temperature that minimises the negative log-likelihood (Guo 2017), by golden-section search in log space.

    logits: (N, C). Returns a value between 0.05 and 20. Where all images are right, or all wrong, the likelihood alone
    has its best value at one of these; so there is a normal prior on log T around 0 (`TEMPERATURE_SPREAD`), whole where
    there is none of the rarer outcome, and less the more there are, until `ENOUGH_OF_EACH` leave nothing of it.
    A logit of minus infinity counts as 1e-7 of the highest probability: at none, the likelihood would be 0 for every T.
    """
    logits = np.where(np.isneginf(logits), logits.max(axis=1, keepdims=True) + math.log(1e-7), logits)
    hits = int((logits.argmax(axis=1) == labels).sum())
    rarer = min(hits, len(labels) - hits)
    prior = max(0.0, 1 - rarer / ENOUGH_OF_EACH) / (2 * TEMPERATURE_SPREAD**2 * len(labels))

    def loss(log_t: float) -> float:
        scaled = np.asarray(logits, np.float64) / math.exp(log_t)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(labels)), labels]).mean()) + prior * log_t**2

    low, high, ratio = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


@dataclass(frozen=True)
class ClassResult:
    """One class: recall, precision and F1 (0 when undefined), and its number of true images."""

    recall: float
    precision: float
    f1: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class Metrics:
    """Result of scoring N images. confusion[true][predicted] counts images; fractions are 0 to 1.

    macro_f1: mean over the classes that an image has or was given.
    """

    labels: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    macro_f1: float
    ece: float
    per_class: dict[str, ClassResult]
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict with the keys of `evaluate --json`."""
        return {
            "labels": list(self.labels),
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "per_class": {name: result.to_json() for name, result in self.per_class.items()},
            "confusion": [list(row) for row in self.confusion],
        }


def score(probabilities: Floats, labels: NDArray[np.integer[Any]], names: Sequence[str]) -> Metrics:
    """Metrics of probabilities (N, C) against true labels (N,).

    Raises DatasetError when there is nothing to score or the shapes disagree.
    """
    n, classes = len(labels), len(names)
    if n == 0:
        raise DatasetError("nothing to score: no images")
    if probabilities.shape != (n, classes):
        raise DatasetError(f"{probabilities.shape} probabilities do not fit {n} images of {classes} classes")
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    hits, true, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    recall = hits / np.maximum(true, 1)
    precision = hits / np.maximum(claimed, 1)
    f1 = 2 * hits / np.maximum(true + claimed, 1)
    correct = int(hits.sum())
    return Metrics(
        labels=tuple(names),
        n=n,
        accuracy=correct / n,
        accuracy_ci95=wilson_interval(correct, n),
        macro_f1=float(f1[true + claimed > 0].mean()),
        ece=expected_calibration_error(probabilities, labels),
        per_class={
            name: ClassResult(float(recall[i]), float(precision[i]), float(f1[i]), int(true[i]))
            for i, name in enumerate(names)
        },
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
    )


@dataclass(frozen=True)
class PairedComparison:
    """A variant against a reference on the same images.

    drop_pp: accuracy lost, in percentage points (negative: gained), with its 95 % interval. mcnemar_p: exact two-sided.
    agreement: fraction of images with the same label. flips: images whose label changed.
    """

    n: int
    drop_pp: float
    drop_ci95_pp: tuple[float, float]
    mcnemar_p: float
    agreement: float
    flips: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**asdict(self), "drop_ci95_pp": list(self.drop_ci95_pp)}


def exceeds(drop_pp: float, limit_pp: float) -> bool:
    """Whether a drop passes its limit, both in percentage points: one of exactly the limit does not, however rounded.

    >>> 100 * (0.7 - 0.695) > 0.5, exceeds(100 * (0.7 - 0.695), 0.5)
    (True, False)
    """
    return drop_pp > limit_pp + 1e-9  # far below one image, above what subtracting two fractions leaves


def compare(
    reference: NDArray[np.integer[Any]], variant: NDArray[np.integer[Any]], labels: NDArray[np.integer[Any]]
) -> PairedComparison:
    """Compare two label predictions (N,) on the same images with true labels (N,).

    The interval is `paired_interval`'s; the p-value McNemar's exact test. Raises DatasetError when there are no images.
    """
    n = len(labels)
    if n == 0:
        raise DatasetError("nothing to compare: no images")
    lost = int(((reference == labels) & (variant != labels)).sum())
    gained = int(((reference != labels) & (variant == labels)).sum())
    low, high = paired_interval(lost, gained, n)
    flips = int((reference != variant).sum())
    return PairedComparison(
        n=n,
        drop_pp=100 * ((lost - gained) / n),
        drop_ci95_pp=(100 * low, 100 * high),
        mcnemar_p=mcnemar_exact(lost, gained),
        agreement=1 - flips / n,
        flips=flips,
    )


def recall_drop_pp(reference: Metrics, variant: Metrics) -> dict[str, float]:
    """Recall that each class of the variant lost against the reference, in percentage points (negative: gained)."""
    return {
        name: 100 * (reference.per_class[name].recall - result.recall) for name, result in variant.per_class.items()
    }


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact McNemar p-value: binomial test of the discordant pairs at one half.

    >>> mcnemar_exact(0, 0), mcnemar_exact(1, 9) < 0.03
    (1.0, True)
    """
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    log_half_n = -n * math.log(2)
    tail = sum(
        math.exp(math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + log_half_n) for i in range(k + 1)
    )
    return min(1.0, 2 * tail)
