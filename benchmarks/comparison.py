"""What a bench against an earlier one found, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ..edge_runtime.errors import OptionError

Verdict = Literal["same", "better", "worse", "failed"]


@dataclass(frozen=True)
class Limits:
    """What may get worse before the gate closes: latency, memory and size as fractions, accuracy in percentage points.

    Latency fails only when the whole 95 % interval of its ratio lies above the limit.
    """

    slower: float = 0.10
    less_accurate_pp: float = 0.5
    larger: float = 0.02
    more_memory: float = 0.20

    def __post_init__(self) -> None:
        limits = (self.slower, self.less_accurate_pp, self.larger, self.more_memory)
        if not all(0 <= limit < math.inf for limit in limits):
            raise OptionError("limits of a comparison (--max-slowdown, --max-drop) must be finite and not negative")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Change:
    """One figure of one row. verdict: same (within noise), better, worse, or failed (worse than the limit allows)."""

    row: str
    figure: str
    before: float
    after: float
    verdict: Verdict
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Comparison:
    """All changes against a baseline, and what could not be compared."""

    baseline: str
    limits: Limits
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a limit is passed, or there was nothing to compare: a gate that cannot close is no gate."""
        return not self.changes or any(change.verdict == "failed" for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, the `comparison` of `bench --json`."""
        return {
            "baseline": self.baseline,
            "limits": self.limits.to_json(),
            "failed": self.failed,
            "changes": [change.to_json() for change in self.changes],
            "notes": list(self.notes),
        }
