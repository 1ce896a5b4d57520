"""A video that somebody watches plays in its own time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from .cameras import Frame

LATEST_S = 1.0  # what is lost beyond this is not made up for, so that no long stretch plays in a hurry
LONGEST_GAP_S = 5.0  # a longer one is a time stamp gone wrong, or a pause that nobody waits for
POLL_S = 0.2  # how often a wait looks whether it was stopped


class Playback:
    """Holds each frame back until its media time has come; one that is late goes out at once, and none is skipped."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._began = -math.inf
        """The clock at media time 0."""

    def wait(self, frame: Frame, stopped: Callable[[], bool]) -> None:
        """Return when the frame is due, or soon after `stopped`. A cut, and what is far from its time, is due now."""
        early_s = self._began + frame.time_s - self._clock()
        if frame.cut or not -LATEST_S <= early_s <= LONGEST_GAP_S:
            self._began = self._clock() - frame.time_s
        while not stopped() and (left_s := self._began + frame.time_s - self._clock()) > 0:
            self._sleep(min(left_s, POLL_S))
