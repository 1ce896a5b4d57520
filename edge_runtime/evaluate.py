"""Score a model on a split, through the preprocessing the device uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classifier import LogitsModel
from .dataset import Dataset, Split
from .labels import class_indices
from .metrics import Metrics, score, softmax

CHUNK = 256


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one model on one split, and what they were computed from.

    probabilities: float32 (N, classes) at the model's temperature, in the order of `split.classes`.
    """

    split: Split
    metrics: Metrics
    probabilities: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted positions in `split.classes`, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict of the metrics and the split's name."""
        return {"split": self.split.name, **self.metrics.to_json()}


def evaluate(model: LogitsModel, split: Split, progress: Callable[[int, int], None] | None = None) -> Evaluation:
    """One inference an image, none dropped. Classes that the split lacks are masked and the rest renormalised.

    Raises OptionError when the split has a class the model does not know.
    """
    chosen = class_indices(split.classes, model.metadata.labels)
    parts = []
    for start in range(0, len(split), CHUNK):
        parts.append(model.logits(split.images[start : start + CHUNK]))
        if progress:
            progress(min(start + CHUNK, len(split)), len(split))
    logits = np.concatenate(parts)[:, chosen]
    probabilities = softmax(logits, model.metadata.temperature)
    return Evaluation(split, score(probabilities, split.labels, split.classes), probabilities)


def load_split_for(
    model: LogitsModel,
    dataset: Dataset,
    split: str,
    classes: Sequence[str] | None,
    progress: Callable[[int, int], None] | None = None,
) -> Split:
    """The split prepared for this model: the asked classes, else the model's own that the data has, in its order."""
    wanted = classes or tuple(label for label in model.metadata.labels if label in dataset.classes)
    return dataset.load(split, model.metadata.input, wanted or model.metadata.labels, progress)
