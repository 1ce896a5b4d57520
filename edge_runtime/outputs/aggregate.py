"""Counts and means over time instead of single faces, for those who want to know no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..preprocess import Image
from ..results import SCHEMA_VERSION, FrameResult, rounded
from .output import Output

COLUMNS = ("schema_version", "source", "from_s", "until_s", "time", "frames", "mean_faces", "most_faces")
"""Keys of a document, before its probabilities; files have no `time`."""


class Recorder(Protocol):
    """What an aggregate is written to: JSON lines, CSV."""

    def record(self, document: Mapping[str, Any]) -> None:
        """Write one document."""
        ...

    def close(self) -> None:
        """Flush and release."""
        ...


@dataclass
class Interval:
    """What was seen in one stretch of time: frames, all their faces, and sums by label. time: the first frame's."""

    source: str
    from_s: float
    time: str | None = None
    frames: int = 0
    faces: int = 0
    most_faces: int = 0
    probabilities: dict[str, float] = field(default_factory=dict)

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        self.frames += 1
        self.faces += len(result.faces)
        self.most_faces = max(self.most_faces, len(result.faces))
        for face in result.faces:
            for label, p in face.probabilities.items():
                self.probabilities[label] = self.probabilities.get(label, 0.0) + p

    def to_json(self, until_s: float) -> dict[str, Any]:
        """No id, no box, no single face. probabilities: means over all faces of all frames; empty without faces."""
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "from_s": round(self.from_s, 3),
            "until_s": round(until_s, 3),
            **({"time": self.time} if self.time is not None else {}),
            "frames": self.frames,
            "mean_faces": round(self.faces / self.frames, 4),
            "most_faces": self.most_faces,
            "probabilities": rounded({label: total / self.faces for label, total in self.probabilities.items()}),
        }


class Aggregate(Output):
    """Writes one document for every `seconds` in which there were frames, and for what is left at the end.

    source: what all frames come from, as it is written. Frames that name another source are pictures of a folder: they
    have no clock, so the whole folder is one document, which names none of them.
    """

    needs_image = False

    def __init__(self, seconds: float, recorder: Recorder, source: str) -> None:
        self._seconds = seconds
        self._source = source
        self._recorder = recorder
        self._interval: Interval | None = None
        self._last_s = 0.0

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Count a frame; when it lies past the interval, write that first."""
        is_picture = result.source != self._source
        start = 0.0 if is_picture else result.time_s // self._seconds * self._seconds
        if self._interval is not None and start > self._interval.from_s:
            self._write(self._interval.from_s + self._seconds)
        if self._interval is None:
            self._interval = Interval(self._source, start, result.time)
        self._interval.add(result)
        self._last_s = result.time_s

    def close(self) -> None:
        """Write what is left, then close the file."""
        if self._interval is not None:
            self._write(self._last_s)
        self._recorder.close()

    def _write(self, until_s: float) -> None:
        if self._interval is not None:
            self._recorder.record(self._interval.to_json(until_s))
        self._interval = None
