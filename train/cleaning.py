"""Which training images to leave out: blanks, repeats, and copies of validation images."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.dataset import Split
from ..edge_runtime.preprocess import fingerprint

BLANK_STD = 2.0
"""Grey-level standard deviation below which an image shows nothing."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What is wrong with a pair of splits, as positions in them.

    blanks: nearly uniform training images. repeats: training images whose pixels occurred before with the same label.
    conflicts: training images whose identical copies carry different labels (all copies). leaks: training images that
    are also in validation. A position can be in several.
    """

    blanks: NDArray[np.int64]
    repeats: NDArray[np.int64]
    conflicts: NDArray[np.int64]
    leaks: NDArray[np.int64]

    def counts(self) -> dict[str, int]:
        """How many images each finding covers."""
        return {name: len(getattr(self, name)) for name in ("blanks", "repeats", "conflicts", "leaks")}

    @property
    def all(self) -> NDArray[Any]:
        """Every position with a finding, sorted, once."""
        return np.unique(np.concatenate([self.blanks, self.repeats, self.conflicts, self.leaks]))


def inspect(train: Split, validation: Split | None = None) -> Findings:
    """Compare the prepared pixels of all images."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, key in enumerate(map(fingerprint, train.images)):
        groups[key].append(index)
    repeats: list[int] = []
    conflicts: list[int] = []
    for members in groups.values():
        if len({int(train.labels[i]) for i in members}) > 1:
            conflicts.extend(members)
        else:
            repeats.extend(members[1:])
    held = set(map(fingerprint, validation.images)) if validation is not None else set()
    leaks = [i for key, members in groups.items() if key in held for i in members]
    return Findings(
        blanks=np.flatnonzero(blank(train)),
        repeats=np.array(sorted(repeats), np.int64),
        conflicts=np.array(sorted(conflicts), np.int64),
        leaks=np.array(sorted(leaks), np.int64),
    )


def blank(split: Split) -> NDArray[np.bool_]:
    """Which images are nearly uniform, (N,)."""
    if len(split) == 0:
        return np.zeros(0, np.bool_)
    flat = split.images.reshape(len(split), -1)
    chunks = [flat[i : i + 1024].std(axis=1) for i in range(0, len(flat), 1024)]
    return np.asarray(np.concatenate(chunks) < BLANK_STD)


def clean(train: Split, validation: Split | None) -> tuple[Split, Findings]:
    """The training split without what `inspect` found; validation is never touched."""
    findings = inspect(train, validation)
    keep = np.ones(len(train), np.bool_)
    keep[findings.all] = False
    return train.take(keep), findings
