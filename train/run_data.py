"""The images of a training run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Dataset, Split, name_bytes, require_every_class
from .cleaning import Findings, clean
from .config import TrainConfig


@dataclass(frozen=True)
class RunData:
    """The splits of a run after `--classes`, `--limit` and cleaning."""

    train: Split
    validation: Split
    findings: Findings | None
    dataset: Dataset

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict that identifies the images by hash, without the images."""
        return {
            "path": str(self.dataset.path.resolve()),
            "sha256": self.dataset.sha256,
            "train_sha256": self.train.sha256,
            "validation_split": self.validation.name,
            "validation_made_from_train": self.dataset.made_validation,
            "validation_sha256": self.validation.sha256,
            "validation_files_sha256": hashlib.sha256(name_bytes("\n".join(self.validation.files))).hexdigest(),
            "train_counts": self.train.counts,
            "validation_counts": self.validation.counts,
            "left_out": self.findings.counts() if self.findings else None,
        }


def load_data(dataset: Dataset, config: TrainConfig, progress: Progress | None = None) -> RunData:
    """Load, subset, limit and clean the splits; copies of validation images go even where the limit drops the original.

    Raises DatasetError when a class has no image in one of them.
    """
    spec = config.preset.input
    train = dataset.load("train", spec, config.classes, progress)
    validation = dataset.load("validation", spec, config.classes, progress)
    if config.limit:
        train = train.limit(config.limit[0], config.seed)
    findings = None
    if config.preset.clean:
        train, findings = clean(train, validation)
    if config.limit and config.limit[1] is not None:
        validation = validation.limit(config.limit[1], config.seed)
    require_every_class(train, "training")
    require_every_class(validation, "validation")
    return RunData(train, validation, findings, dataset)
