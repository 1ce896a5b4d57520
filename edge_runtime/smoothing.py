"""Steady labels: probabilities averaged over time, and a label that changes only for a reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import OptionError

State = Literal["steady", "uncertain"]


@dataclass(frozen=True)
class Smoothing:
    """How labels are steadied.

    half_life_s: after this time an observation weighs half as much; 0 turns averaging off. margin: how much more
    probable another label must be before it takes over. settle / unsettle: the probability at which a label becomes
    `steady`, and under which it is `uncertain` again.
    """

    half_life_s: float = 0.5
    margin: float = 0.1
    settle: float = 0.5
    unsettle: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.half_life_s <= 3600:
            raise OptionError(f"the smoothing half-life must be 0 to 3600 seconds, got {self.half_life_s}")
        if not 0 <= self.margin < 1 or not 0 <= self.unsettle <= self.settle <= 1:
            raise OptionError(
                "smoothing needs 0 ≤ margin < 1 and 0 ≤ unsettle ≤ settle ≤ 1, "
                f"got margin {self.margin}, unsettle {self.unsettle}, settle {self.settle}"
            )


class SteadyLabel:
    """The label of one face through time: feed it each frame's probabilities.

    The average is Σ 2^(−age / half-life)·p over what was seen, divided by the sum of the weights: it has no start-up
    bias, and counts media time, not frames. Averaging off: each frame stands alone, the hysteresis stays.
    """

    def __init__(self, smoothing: Smoothing) -> None:
        self._smoothing = smoothing
        self._sum: NDArray[np.float64] | float = 0.0
        self._weight = 0.0
        self._time_s = -math.inf
        self.index = -1
        """Position of the shown label; −1 before the first update."""
        self.state: State = "uncertain"

    def update(self, probabilities: NDArray[np.floating], time_s: float) -> NDArray[np.float64]:
        """Take one observation, shape (classes,); returns the average, which sums to 1.

        A clock that falls is taken to stand still.
        """
        keep = self._decay(max(0.0, time_s - self._time_s))
        self._sum = self._sum * keep + np.asarray(probabilities, np.float64)
        self._weight = self._weight * keep + 1.0
        self._time_s = max(self._time_s, time_s)
        average: NDArray[np.float64] = np.asarray(self._sum) / self._weight
        best = int(average.argmax())
        if self.index < 0 or average[best] > average[self.index] + self._smoothing.margin:
            self.index, self.state = best, "uncertain"
        confidence = average[self.index]
        if confidence >= self._smoothing.settle:
            self.state = "steady"
        elif confidence < self._smoothing.unsettle:
            self.state = "uncertain"
        return average

    def _decay(self, passed_s: float) -> float:
        if self._smoothing.half_life_s == 0:
            return 0.0
        return math.pow(2.0, -passed_s / self._smoothing.half_life_s)
