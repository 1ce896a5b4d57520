"""The result of a bench as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..edge_runtime.console import counted
from .accuracy import Accuracy
from .comparison import Comparison
from .environment import Environment
from .latency import Latency, Ratio, Samples
from .operators import Operator
from .sustained import Sustained

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One model at one number of threads. A row that failed has `error`, and None for what was not measured.

    stages_ms: medians of each step from a crop, or of a video's frame (then `footage` counts frames and faces).
    operators: with times when profiled. import_ms: the runtime's import. load_ms: reading the file. init_ms: building
    the interpreter. first_ms: the first inference. round_p50_ms: the median of each round, in order. samples_ms: every
    timed inference; kept beside the report, not in its JSON. source_sha256: of the Keras model, empty when not known.
    """

    model: str
    path: str
    precision: str
    backend: str
    threads: int
    size_bytes: int
    sha256: str = ""
    source_sha256: str = ""
    error: str | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    ratio: Ratio | None = None
    round_p50_ms: tuple[float, ...] = ()
    throughput_per_s: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    footage: dict[str, Any] | None = None
    macs: int | None = None
    operators: tuple[Operator, ...] = ()
    import_ms: float | None = None
    load_ms: float | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    warmup_runs: int | None = None
    stable: bool | None = None
    rss_mb: float | None = None
    peak_rss_mb: float | None = None
    samples_ms: Samples | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Such as `edge-m, 2 threads`."""
        return f"{self.model}, {counted(self.threads, 'thread')}"

    def same_network(self, other: Row) -> bool:
        """Whether both files say that they were converted from the same model."""
        return self.source_sha256 != "" and self.source_sha256 == other.source_sha256

    @property
    def gops(self) -> float | None:
        """Achieved operations, two a multiply-accumulate, in 10^9 a second."""
        return 2e-6 * self.macs / self.latency.p50 if self.macs and self.latency and self.latency.p50 else None

    @property
    def profiled(self) -> bool:
        """Whether its operators have times."""
        return any(operator.ms is not None for operator in self.operators)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict; the accuracy block lies flat in it."""
        nothing = {"accuracy": None, "accuracy_drop_pp": None, "mcnemar_p": None}
        return {
            "model": self.model,
            "path": self.path,
            "precision": self.precision,
            "backend": self.backend,
            "threads": self.threads,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "source_sha256": self.source_sha256,
            "error": self.error,
            **nothing,
            **(self.accuracy.to_json() if self.accuracy else {}),
            "latency_ms": self.latency.to_json() if self.latency else None,
            "latency_ratio": self.ratio.to_json() if self.ratio else None,
            "round_p50_ms": list(self.round_p50_ms),
            "throughput_per_s": self.throughput_per_s,
            "stages_ms": self.stages_ms,
            "footage": self.footage,
            "macs": self.macs,
            "gops": self.gops,
            "operators": [operator.to_json() for operator in self.operators],
            "import_ms": self.import_ms,
            "load_ms": self.load_ms,
            "init_ms": self.init_ms,
            "first_ms": self.first_ms,
            "warmup_runs": self.warmup_runs,
            "stable": self.stable,
            "rss_mb": self.rss_mb,
            "peak_rss_mb": self.peak_rss_mb,
        }


@dataclass(frozen=True)
class Recommendation:
    """Which row to deploy; model is None when none meets the limits. reason is a sentence."""

    model: str | None
    precision: str | None
    threads: int | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class BenchReport:
    """Everything a bench found. notes: what a sceptic must know (noise, throttling, what was left out)."""

    environment: Environment
    settings: dict[str, Any]
    rows: tuple[Row, ...]
    recommendation: Recommendation
    notes: tuple[str, ...] = ()
    overhead_us: float | None = None
    sustained: Sustained | None = None
    comparison: Comparison | None = None
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, the document of `bench --json` and of report.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "environment": self.environment.to_json(),
            "settings": self.settings,
            "overhead_us": self.overhead_us,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
            "results": [row.to_json() for row in self.rows],
            "comparison": self.comparison.to_json() if self.comparison else None,
            "sustained": self.sustained.to_json() if self.sustained else None,
            "recommendation": self.recommendation.to_json(),
        }
