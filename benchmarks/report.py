"""The result of a bench as data, and as a table for the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..edge_runtime.console import percent, table
from .accuracy import Accuracy
from .environment import Environment
from .latency import Latency, Ratio, Samples

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One model at one number of threads. A row that failed has `error`, and None for what was not measured.

    import_ms: the runtime's import. load_ms: reading the file. init_ms: building the interpreter. first_ms: the first
    inference. round_p50_ms: the median of each round, in order. samples_ms: every timed inference; kept beside the
    report, not in its JSON.
    """

    model: str
    path: str
    precision: str
    backend: str
    threads: int
    size_bytes: int
    sha256: str = ""
    error: str | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    ratio: Ratio | None = None
    round_p50_ms: tuple[float, ...] = ()
    throughput_per_s: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    import_ms: float | None = None
    load_ms: float | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    warmup_runs: int | None = None
    stable: bool | None = None
    rss_mb: float | None = None
    peak_rss_mb: float | None = None
    samples_ms: Samples | None = field(default=None, repr=False, compare=False)

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
            "error": self.error,
            **nothing,
            **(self.accuracy.to_json() if self.accuracy else {}),
            "latency_ms": self.latency.to_json() if self.latency else None,
            "latency_ratio": self.ratio.to_json() if self.ratio else None,
            "round_p50_ms": list(self.round_p50_ms),
            "throughput_per_s": self.throughput_per_s,
            "stages_ms": self.stages_ms,
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
            "recommendation": self.recommendation.to_json(),
        }


def render_table(report: BenchReport) -> str:
    """The report for a terminal: one line a row, then notes and the recommendation."""
    scored = any(row.accuracy for row in report.rows)
    headers = ["model", "precision", "threads", "size kB", "p50 ms", "p95 ms", "p99 ms", "× ref", "init ms", "RSS MB"]
    headers[4:4] = ["accuracy", "drop pp", "p"] if scored else []
    lines = [table(headers, [_cells(row, scored) for row in report.rows], left=2), ""]
    lines += [f"{row.model} ({row.threads} threads): {row.error}" for row in report.rows if row.error]
    n = next((row.accuracy.metrics.n for row in report.rows if row.accuracy), None)
    env = report.environment
    governor = f", governor {env.governor}" if env.governor else ""
    lines.append(f"{env.board}, {env.cpu}, {env.cores} cores{governor}, {env.system}, {_runtime(report)}")
    lines.append(f"each call timed costs {report.overhead_us:.2f} µs, not subtracted" if report.overhead_us else "")
    lines.append(f"accuracy on n = {n} images, drop against the float32 file, p: McNemar" if n else "")
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"recommendation: {report.recommendation.reason}")
    return "\n".join(line for i, line in enumerate(lines) if line or i == 1)


def read_report(path: Path) -> dict[str, Any]:
    """A report.json as a dict. Raises ValueError when it is not one of this schema, OSError when unreadable."""
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"not a bench report of schema {SCHEMA_VERSION}")
    return document


def _cells(row: Row, scored: bool) -> list[str]:
    latency = row.latency
    times = [f"{v:.3f}" for v in (latency.p50, latency.p95, latency.p99)] if latency else ["–"] * 3
    score = []
    if scored:
        accuracy = row.accuracy
        loss = accuracy.loss if accuracy else None
        score = [
            percent(accuracy.metrics.accuracy) if accuracy else "–",
            f"{loss.drop_pp:+.2f}" if loss else "–",
            f"{loss.mcnemar_p:.3f}" if loss else "–",
        ]
    return [
        row.model,
        row.precision,
        str(row.threads),
        f"{row.size_bytes / 1000:.0f}",
        *score,
        *times,
        f"{row.ratio.value:.2f}" if row.ratio else "–",
        f"{row.init_ms:.1f}" if row.init_ms is not None else "–",
        f"{row.peak_rss_mb:.0f}" if row.peak_rss_mb is not None else "–",
    ]


def _runtime(report: BenchReport) -> str:
    used = {row.backend for row in report.rows if row.latency}
    names = {"litert": "ai-edge-litert"}
    return ", ".join(f"{b} {report.environment.packages.get(names.get(b, b), '')}".strip() for b in sorted(used))
