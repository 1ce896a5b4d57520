"""The currency between the pipeline and its outputs: what was seen in one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

SCHEMA_VERSION = 1
DECIMALS = 4  # of a probability where it is written: what is beyond says nothing of a face


def rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Probabilities as they are written, into a file, a page or a message.

    >>> rounded({"happy": 0.9065123456, "sad": 0.0934876544})
    {'happy': 0.9065, 'sad': 0.0935}
    """
    return {label: round(p, DECIMALS) for label, p in probabilities.items()}


def utc_now() -> str:
    """The time now as it is written into results: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class TrackedFace:
    """One face in one frame. box_xywh in pixels of the frame; probabilities are smoothed over time and sum to 1.

    id is stable while the face is followed. state is `steady` once the label has settled, else `uncertain`.
    raw_label is the label of this frame alone.
    """

    id: int
    box_xywh: tuple[int, int, int, int]
    label: str
    confidence: float
    state: Literal["steady", "uncertain"]
    probabilities: dict[str, float]
    raw_label: str = ""

    @property
    def caption(self) -> str:
        """What is written beside the face: `#1 happy 83 %`, with a question mark while uncertain."""
        return f"#{self.id} {self.label}{'' if self.state == 'steady' else '?'} {100 * self.confidence:.0f} %"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict with the keys of `run --jsonl`; probabilities have four decimals."""
        return {
            "id": self.id,
            "box_xywh": list(self.box_xywh),
            "label": self.label,
            "confidence": round(self.confidence, DECIMALS),
            "state": self.state,
            "probabilities": rounded(self.probabilities),
        }


@dataclass(frozen=True)
class FrameResult:
    """Everything found in one frame.

    time_s: media time for files, else seconds since the start. latency_ms: milliseconds by stage. time: of a live
    source, when it was seen, as `utc_now` writes it; None for files.
    """

    source: str
    frame: int
    time_s: float
    faces: tuple[TrackedFace, ...]
    latency_ms: dict[str, float]
    time: str | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, one line of `run --jsonl`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "frame": self.frame,
            "time_s": self.time_s,
            **({"time": self.time} if self.time is not None else {}),
            "faces": [face.to_json() for face in self.faces],
            "latency_ms": self.latency_ms,
        }
