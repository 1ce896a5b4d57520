"""What a run amounted to: rates, times by stage, and how steady the labels were."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..preprocess import Image
from ..results import FrameResult
from .output import Output

STAGES = ("capture", "detect", "preprocess", "classify", "track", "total")
WINDOW = 4096  # frames over which times are kept: enough for a p95, and memory that does not grow
LONGEST_GAP_S = 2.0  # a face unseen for longer was not watched in between


@dataclass
class _Watched:
    time_s: float
    raw: str
    shown: str


class Statistics(Output):
    """Counts frames and faces, keeps the latest times of each stage, and compares raw labels with the steady ones."""

    needs_image = False

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.frames = 0
        self.faces = 0
        self.raw_changes = 0
        self.shown_changes = 0
        self.face_s = 0.0
        """Seconds of media time over which faces were watched, all faces together."""
        self._clock = clock
        self._started = clock()
        self._times = np.zeros((WINDOW, len(STAGES)))
        self._watched: dict[int, _Watched] = {}

    @property
    def frames_per_s(self) -> float:
        """Frames a second of wall time since the start."""
        return self.frames / max(1e-9, self._clock() - self._started)

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Count one frame."""
        if self.frames == 0:
            self._started = self._clock() - result.latency_ms.get("total", 0.0) / 1000
        self._times[self.frames % WINDOW] = [result.latency_ms.get(stage, 0.0) for stage in STAGES]
        self.frames += 1
        self.faces += len(result.faces)
        for face in result.faces:
            before = self._watched.get(face.id)
            if before is not None and 0 <= result.time_s - before.time_s <= LONGEST_GAP_S:
                self.face_s += result.time_s - before.time_s
                self.raw_changes += face.raw_label != before.raw
                self.shown_changes += face.label != before.shown
            self._watched[face.id] = _Watched(result.time_s, face.raw_label, face.label)
        if len(self._watched) > 1000:
            self._watched = {i: w for i, w in self._watched.items() if result.time_s - w.time_s <= LONGEST_GAP_S}

    def close(self) -> None:
        """Nothing to release."""

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """p50, p95 and mean of each stage over the latest frames, in milliseconds; empty without frames."""
        times = self._times[: min(self.frames, WINDOW)]
        if not len(times):
            return {}
        return {
            stage: {
                "p50": float(np.percentile(times[:, i], 50)),
                "p95": float(np.percentile(times[:, i], 95)),
                "mean": float(times[:, i].mean()),
            }
            for i, stage in enumerate(STAGES)
        }

    def changes_per_minute(self) -> tuple[float, float] | None:
        """Label changes in a minute of one face: raw, and as shown. None when no face was watched for a second."""
        if self.face_s < 1:
            return None
        minutes = self.face_s / 60
        return self.raw_changes / minutes, self.shown_changes / minutes

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        changes = self.changes_per_minute()
        return {
            "frames": self.frames,
            "faces": self.faces,
            "frames_per_s": self.frames_per_s,
            "latency_ms": self.latency_ms(),
            "label_changes_per_minute": {"raw": changes[0], "shown": changes[1]} if changes else None,
        }
