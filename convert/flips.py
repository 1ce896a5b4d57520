"""Which images change their label in conversion: a list, the pairs of classes, and a picture of the worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..edge_runtime.errors import DatasetError
from ..edge_runtime.evaluate import Evaluation
from ..edge_runtime.preprocess import Pixels

SHOWN = 24
COLUMNS = 6
FACE, CAPTION = 128, 50  # pixels of a cell of the contact sheet
_PAPER, _INK, _GOOD, _BAD = (255, 255, 255), (40, 40, 40), (60, 130, 30), (40, 40, 190)  # BGR


@dataclass(frozen=True)
class Flip:
    """One image whose label changed. index: its place in the split. before, after: the float model's label and the
    file's. confidence_before: probability the float model gave its label; what the file still gives that label is
    confidence_kept; confidence_after is what it gives its own.
    """

    index: int
    file: str
    true: str
    before: str
    after: str
    confidence_before: float
    confidence_kept: float
    confidence_after: float

    @property
    def harm(self) -> float:
        """Probability that the first label lost, 0 to 1: the order of the contact sheet."""
        return self.confidence_before - self.confidence_kept

    @property
    def outcome(self) -> str:
        """`lost` (was right), `gained` (is right now) or `neutral` (wrong both times)."""
        return "lost" if self.before == self.true else "gained" if self.after == self.true else "neutral"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**self.__dict__, "outcome": self.outcome}


@dataclass(frozen=True)
class FlipReport:
    """All flips, worst first. confusion_difference[true][predicted]: images that the file has more (or fewer)."""

    labels: tuple[str, ...]
    n: int
    flips: tuple[Flip, ...]
    confusion_difference: tuple[tuple[int, ...], ...]

    @property
    def pairs(self) -> dict[str, int]:
        """`angry → sad` → how many, most frequent first."""
        counts = Counter(f"{flip.before} → {flip.after}" for flip in self.flips)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def outcomes(self) -> dict[str, int]:
        """How many were lost, gained and neutral."""
        counts = Counter(flip.outcome for flip in self.flips)
        return {name: counts[name] for name in ("lost", "gained", "neutral")}

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "schema_version": 1,
            "labels": list(self.labels),
            "n": self.n,
            "flips": [flip.to_json() for flip in self.flips],
            "outcomes": self.outcomes,
            "pairs": self.pairs,
            "confusion_difference": [list(row) for row in self.confusion_difference],
        }


def find_flips(reference: Evaluation, variant: Evaluation) -> FlipReport:
    """The images of a split to which the two evaluations give different labels."""
    split, names = variant.split, variant.split.classes
    before, after = reference.predicted, variant.predicted
    flips = [
        Flip(
            index=int(i),
            file=split.files[i],
            true=names[split.labels[i]],
            before=names[before[i]],
            after=names[after[i]],
            confidence_before=float(reference.probabilities[i, before[i]]),
            confidence_kept=float(variant.probabilities[i, before[i]]),
            confidence_after=float(variant.probabilities[i, after[i]]),
        )
        for i in np.flatnonzero(before != after)
    ]
    difference = np.array(variant.metrics.confusion) - np.array(reference.metrics.confusion)
    return FlipReport(
        names,
        len(split),
        tuple(sorted(flips, key=lambda flip: (-flip.harm, flip.index))),
        tuple(tuple(int(v) for v in row) for row in difference),
    )


def contact_sheet(report: FlipReport, images: Pixels) -> bytes:
    """A PNG of the worst flips: each face with its true label, and the label and probability before and after.

    images: those of the split, uint8 (N, H, W, C), grey or RGB. Raises DatasetError when nothing flipped.
    """
    worst = report.flips[:SHOWN]
    if not worst:
        raise DatasetError("no label changed: there is nothing to show")
    columns = min(COLUMNS, len(worst))
    rows = -(-len(worst) // columns)
    sheet = np.full((rows * (FACE + CAPTION), columns * (FACE + 8), 3), _PAPER, np.uint8)
    for place, flip in enumerate(worst):
        top, left = place // columns * (FACE + CAPTION), place % columns * (FACE + 8) + 4
        face = cv2.resize(images[flip.index], (FACE, FACE), interpolation=cv2.INTER_NEAREST)
        colour = cv2.COLOR_GRAY2BGR if face.ndim == 2 else cv2.COLOR_RGB2BGR
        sheet[top : top + FACE, left : left + FACE] = cv2.cvtColor(face, colour)
        ink = {"lost": _BAD, "gained": _GOOD, "neutral": _INK}[flip.outcome]
        lines = (
            f"true {flip.true}",
            f"{flip.before} {100 * flip.confidence_before:.0f} %",
            f"> {flip.after} {100 * flip.confidence_after:.0f} %",
        )
        for line, text in enumerate(lines):
            at = (left, top + FACE + 13 + 14 * line)
            cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK if line < 2 else ink, 1, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", sheet)[1])
