"""What the page shows, kept small: the newest frame, the rate, and one line a second of the last minutes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..preprocess import Image
from ..results import FrameResult
from .summary import Summary, summarise

TIMELINE_S = 300
STALE_AFTER_S = 5.0  # no frame for this long means that the camera has stopped


@dataclass(frozen=True)
class Moment:
    """One second of the timeline: second since the start, most faces seen, label and confidence of its last frame."""

    second: int
    faces: int
    label: str
    confidence: float

    def to_json(self) -> list[Any]:
        """[second, faces, label, confidence], short because three hundred of them go to each new viewer."""
        return [self.second, self.faces, self.label, round(self.confidence, 3)]


class Live:
    """Written by the pipeline's thread, read by the server's. Time is monotonic: a clock that is set changes nothing.

    `record` only notes references and adds numbers, so that it costs the pipeline microseconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._start = clock()
        self._arrivals: deque[float] = deque(maxlen=64)
        self._timeline: deque[Moment] = deque(maxlen=TIMELINE_S)
        self._second, self._summary, self._most = 0, Summary(), 0
        self._stage_ms: dict[str, float] = {}
        self._labels: list[str] = []
        self.frames = 0
        self.newest: tuple[FrameResult, Image | None] | None = None

    def record(self, result: FrameResult, image: Image | None) -> None:
        """Take one frame. The image is kept until the next one comes, never longer."""
        now = self._clock()
        summary = summarise(result.faces)
        with self._lock:
            second = int(now - self._start)
            if second != self._second and self.frames:
                self._timeline.append(self._moment())
                self._most = 0
            self._second, self._summary = second, summary
            self._labels = list(summary.probabilities or self._labels)
            self._most = max(self._most, summary.faces)
            for stage, duration_ms in result.latency_ms.items():
                if stage == "total":  # a sum over the stages would count it twice
                    continue
                self._stage_ms[stage] = self._stage_ms.get(stage, 0.0) + duration_ms
            self._arrivals.append(now)
            self.frames += 1
            self.newest = (result, image)

    def _moment(self) -> Moment:
        return Moment(self._second, self._most, self._summary.dominant, self._summary.confidence)

    def timeline(self, after: int = -1) -> list[Moment]:
        """Finished seconds later than `after`, oldest first."""
        with self._lock:
            return [moment for moment in self._timeline if moment.second > after]

    @property
    def age_s(self) -> float:
        """Seconds since the newest frame, or since the start when none has come."""
        with self._lock:
            return self._clock() - (self._arrivals[-1] if self._arrivals else self._start)

    @property
    def alive(self) -> bool:
        """Whether frames are coming."""
        return self.frames > 0 and self.age_s < STALE_AFTER_S

    @property
    def frames_per_s(self) -> float:
        """Rate over the last 64 frames; 0 once they have stopped."""
        if not self.alive:
            return 0.0
        with self._lock:
            spanned = self._arrivals[-1] - self._arrivals[0]
            return (len(self._arrivals) - 1) / spanned if spanned > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The state for the page: the newest frame's result, its summary, rate and age; no faces unless alive.

        labels: the classes, none until a face was seen.
        """
        alive, newest, summary = self.alive, self.newest, self._summary
        result = newest[0] if newest else None
        if result and not alive:
            result, summary = replace(result, faces=()), Summary()
        return {
            "result": result.to_json() if result else None,
            "faces": summary.faces,
            "dominant": summary.dominant,
            "labels": self._labels,
            "frames": self.frames,
            "frames_per_s": round(self.frames_per_s, 2),
            "age_s": round(self.age_s, 1),
            "alive": alive,
            "second": int(self._clock() - self._start),
        }

    def metrics(self) -> list[str]:
        """Lines in Prometheus' text format, version 0.0.4; no faces unless alive."""
        alive = self.alive
        with self._lock:
            stage_ms, frames = dict(self._stage_ms), self.frames
            summary = self._summary if alive else Summary()
        lines = [
            *metric("frames_total", "counter", "Frames processed.", {"": frames}),
            *metric("frames_per_second", "gauge", "Frames a second now.", {"": self.frames_per_s}),
            *metric("last_frame_age_seconds", "gauge", "Age of the newest frame.", {"": self.age_s}),
            *metric("faces", "gauge", "Faces in the newest frame.", {"": summary.faces}),
            *metric(
                "stage_seconds_total",
                "counter",
                "Time spent by stage.",
                {f'{{stage="{_escape(stage)}"}}': ms / 1000 for stage, ms in stage_ms.items()},
            ),
            *metric(
                "expression_probability",
                "gauge",
                "Mean probability over the faces in the newest frame, by apparent expression.",
                {f'{{label="{_escape(label)}"}}': p for label, p in (summary.probabilities or {}).items()},
            ),
        ]
        return lines


def metric(name: str, kind: str, meaning: str, values: dict[str, float]) -> list[str]:
    """One metric in Prometheus' text format: `# HELP`, `# TYPE`, and a line for each set of labels.

    >>> metric("faces", "gauge", "Faces now.", {"": 2})
    ['# HELP edge_emotion_faces Faces now.', '# TYPE edge_emotion_faces gauge', 'edge_emotion_faces 2']
    """
    head = [f"# HELP edge_emotion_{name} {meaning}", f"# TYPE edge_emotion_{name} {kind}"]
    return [*head, *(f"edge_emotion_{name}{labels} {value:.10g}" for labels, value in values.items())]


def _escape(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
