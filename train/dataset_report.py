"""What `data check` says of a dataset: counts, and what is wrong with its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Dataset
from .cleaning import inspect

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SplitReport:
    """One split. counts: readable images by class. The rest are file names.

    blank: nearly uniform. repeats: pixels seen before with the same label. conflicts: pixels that occur with different
    labels. unreadable: cannot be decoded.
    """

    name: str
    counts: dict[str, int]
    unreadable: tuple[str, ...]
    blank: tuple[str, ...]
    repeats: tuple[str, ...]
    conflicts: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict: a count and the names of each finding."""
        findings = {name: list(getattr(self, name)) for name in ("unreadable", "blank", "repeats", "conflicts")}
        return {
            "n": sum(self.counts.values()),
            "counts": self.counts,
            **{name: {"n": len(files), "files": files} for name, files in findings.items()},
        }


@dataclass(frozen=True)
class DatasetReport:
    """All splits of a dataset. leaks: (split, other) → files of the first whose pixels are in the other too."""

    dataset: Dataset
    splits: tuple[SplitReport, ...]
    leaks: dict[tuple[str, str], tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict of `data check --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "data": str(self.dataset.path),
            "sha256": self.dataset.sha256,
            "classes": list(self.dataset.classes),
            "validation_made_from_train": self.dataset.made_validation,
            "unused": {"n": len(self.dataset.unused), "files": list(self.dataset.unused)},
            "splits": {split.name: split.to_json() for split in self.splits},
            "leaks": [
                {"split": name, "other": other, "n": len(files), "files": list(files)}
                for (name, other), files in self.leaks.items()
            ],
        }


def report(dataset: Dataset, progress: Progress | None = None) -> DatasetReport:
    """Decode every split and compare the pixels, as a 48×48 grey network sees them, within and between splits.

    Raises DatasetError when a split has no readable image.
    """
    splits = [dataset.load(name, progress=progress) for name in dataset.splits]
    reports = []
    for split in splits:
        found = inspect(split)
        names = {
            finding: tuple(split.files[i] for i in positions)
            for finding, positions in (
                ("blank", found.blanks),
                ("repeats", found.repeats),
                ("conflicts", found.conflicts),
            )
        }
        reports.append(SplitReport(split.name, split.counts, split.unreadable, **names))
    leaks = {
        (first.name, second.name): tuple(first.files[i] for i in inspect(first, second).leaks)
        for position, first in enumerate(splits)
        for second in splits[position + 1 :]
    }
    return DatasetReport(dataset, tuple(reports), leaks)
