"""Accuracy of one row, and what it lost against the float file of the same network on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..edge_runtime.dataset import Dataset
from ..edge_runtime.evaluate import Evaluation, classes_in_common
from ..edge_runtime.labels import class_indices
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.metrics import Metrics, PairedComparison, compare, recall_drop_pp


@dataclass(frozen=True)
class Accuracy:
    """Metrics of one model on a split. `drop` compares it with `reference`; both None where there is none."""

    split: str
    data_sha256: str
    metrics: Metrics
    reference: str | None = None
    drop: PairedComparison | None = None
    recall_change_pp: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, flat: the keys of a row of `bench --json`."""
        document = self.metrics.to_json()
        document |= {"split": self.split, "data_sha256": self.data_sha256, "accuracy_reference": self.reference}
        if self.drop is not None:
            document |= {
                "accuracy_drop_pp": self.drop.drop_pp,
                "accuracy_drop_ci95_pp": list(self.drop.drop_ci95_pp),
                "mcnemar_p": self.drop.mcnemar_p,
                "agreement": self.drop.agreement,
                "flips": self.drop.flips,
                "recall_change_pp": self.recall_change_pp,
            }
        return document


def shared_classes(models: Sequence[ModelMetadata], dataset: Dataset, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The classes that all models and the data know, in the first model's order, or those wanted.

    All rows are scored on the images of these classes, so that their figures may be compared.
    Raises DatasetError when fewer than two remain, OptionError when a model lacks a wanted one.
    """
    if wanted:
        for model in models:
            class_indices(wanted, model.labels)
        return tuple(wanted)
    return classes_in_common(dataset, models)


def against(variant: Evaluation, reference: Evaluation, name: str, sha256: str) -> Accuracy:
    """The variant's accuracy block, compared with the reference of that name on the same images."""
    gained_pp = recall_drop_pp(variant.metrics, reference.metrics)  # what going back to the reference would lose
    drop = compare(reference.predicted, variant.predicted, variant.split.labels)
    return Accuracy(variant.split.name, sha256, variant.metrics, name, drop, gained_pp)
