"""One frame in one line: how many faces, and the mean of their probabilities. The page and MQTT say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..results import TrackedFace


@dataclass(frozen=True)
class Summary:
    """faces: how many. probabilities: mean over the faces, by label; empty without faces. dominant: the likeliest
    label, empty without faces."""

    faces: int = 0
    probabilities: dict[str, float] | None = None
    dominant: str = ""

    @property
    def confidence(self) -> float:
        """Mean probability of the dominant label; 0 without faces."""
        return self.probabilities[self.dominant] if self.probabilities else 0.0


def summarise(faces: Sequence[TrackedFace]) -> Summary:
    """The summary of one frame's faces, whatever their order."""
    if not faces:
        return Summary()
    labels = faces[0].probabilities
    means = {label: sum(face.probabilities.get(label, 0.0) for face in faces) / len(faces) for label in labels}
    return Summary(len(faces), means, max(means, key=means.__getitem__))
