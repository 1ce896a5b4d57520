"""What a bench is asked to measure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime.errors import OptionError
from ..edge_runtime.faces.choice import DETECTORS
from ..edge_runtime.interpreter import BACKENDS
from ..edge_runtime.labels import nearest
from .client import COMMAND


@dataclass(frozen=True)
class BenchConfig:
    """What to measure.

    seconds and min_runs: at least so long and so many timed inferences a row, over `rounds` rounds. min_accuracy:
    fraction; deadline_ms: for p95. profile: time each operator. sustained_s: then run the recommended row so long.
    video: time the whole pipeline on its first frames. command: what starts a worker.
    """

    backend: str = "auto"
    threads: tuple[int, ...] = (1,)
    seconds: float = 5.0
    min_runs: int = 50
    min_rounds: int = 10
    pin: bool = True
    split: str = "validation"
    classes: tuple[str, ...] | None = None
    min_accuracy: float | None = None
    deadline_ms: float | None = None
    profile: bool = False
    sustained_s: float | None = None
    video: Path | None = None
    detector: str = "auto"
    video_frames: int = 300
    command: tuple[str, ...] = COMMAND

    def __post_init__(self) -> None:
        if self.backend != "auto" and self.backend not in BACKENDS:
            raise OptionError(f"unknown backend {self.backend!r}: auto, {', '.join(BACKENDS)}")
        if not self.threads or any(not 1 <= n <= 64 for n in self.threads):
            raise OptionError(f"--threads takes numbers from 1 to 64, got {','.join(map(str, self.threads))}")
        if len(set(self.threads)) != len(self.threads):
            raise OptionError(f"--threads names a number twice: {','.join(map(str, self.threads))}")
        if not 0 < self.seconds <= 86_400:
            raise OptionError(f"--seconds must be above 0 and at most a day, got {self.seconds:g}")
        if self.min_runs < 1 or self.min_rounds < 1:
            raise OptionError(f"--runs must be at least 1, got {self.min_runs}")
        if self.min_accuracy is not None and not 0 < self.min_accuracy <= 1:
            raise OptionError(f"--min-accuracy is a fraction above 0 and at most 1, got {self.min_accuracy:g}")
        if self.deadline_ms is not None and not 0 < self.deadline_ms < math.inf:
            raise OptionError(f"--deadline-ms must be finite and above 0, got {self.deadline_ms:g}")
        if self.video is not None and not self.video.exists():
            raise OptionError(f"--video {self.video} does not exist")
        if self.detector.partition(":")[0] not in DETECTORS:
            raise OptionError(f"unknown detector {self.detector!r}: {nearest(self.detector, DETECTORS)}")
        if self.sustained_s is not None and not 0 < self.sustained_s <= 86_400:
            raise OptionError(f"--sustained takes seconds, above 0 and at most a day, got {self.sustained_s:g}")

    @property
    def rounds(self) -> int:
        """Rounds that the time is cut into: at least `min_rounds`, none longer than a second."""
        return max(self.min_rounds, math.ceil(self.seconds))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict of what shapes the figures."""
        names = ("backend", "seconds", "min_runs", "pin", "split", "min_accuracy", "deadline_ms", "detector")
        return {
            **{name: getattr(self, name) for name in names},
            "rounds": self.rounds,
            "threads": list(self.threads),
            "classes": list(self.classes) if self.classes else None,
            "video": str(self.video) if self.video else None,
        }


DEFAULTS = BenchConfig()
