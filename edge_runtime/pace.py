"""On which frames to look for faces."""

from __future__ import annotations

import math
from typing import Literal

SLOWEST = 10  # frames: at least every tenth is searched, so that a new face waits a third of a second at 30 a second
MEMORY = 0.9  # of the running averages


class Pace:
    """Every Nth frame; or, "auto", as often as a live camera's frame time allows, and each `stride`th of a file."""

    def __init__(self, every: int | Literal["auto"], stride: int = 1) -> None:
        self._auto = every == "auto"
        self._stride = stride
        self.every = stride if every == "auto" else every
        """Search each so-many-th frame, at present."""
        self._passed = 0
        self._detect_ms = self._other_ms = 0.0

    def due(self) -> bool:
        """Whether this frame is to be searched. Asked once a frame."""
        due = self._passed == 0 or self._passed >= self.every
        self._passed = 1 if due else self._passed + 1
        return due

    def restart(self) -> None:
        """Search the next frame."""
        self._passed = 0

    def learn(self, detect_ms: float, other_ms: float, budget_ms: float) -> None:
        """What a searched frame took, for the detection and for the rest, of the time it may take (0: no hurry)."""
        self._detect_ms = _mean(self._detect_ms, detect_ms)
        self._other_ms = _mean(self._other_ms, other_ms)
        if self._auto:
            spare_ms = budget_ms - self._other_ms
            wanted = math.ceil(self._detect_ms / spare_ms) if spare_ms > 0 else SLOWEST
            self.every = min(SLOWEST, max(1, wanted)) if budget_ms > 0 else self._stride


def _mean(before: float, value: float) -> float:
    return value if before == 0 else MEMORY * before + (1 - MEMORY) * value
