"""One row while it is being measured: its worker, and what the worker has told so far."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.classifier import require_numbers
from ..edge_runtime.errors import ModelError
from ..edge_runtime.metadata import InputSpec, ModelMetadata
from .client import PATIENCE_S, Worker, WorkerError
from .config import BenchConfig
from .latency import Latency, Samples
from .operators import Operator
from .report import Row

STAGE_RUNS = 200
PROFILE_ROUNDS = 15


@dataclass
class Measurement:
    """A row in the making. A worker that fails leaves its message in the row's `error`, and is asked no more.

    declared: in place of the file's own metadata. metadata: those in use, once the model is open.
    """

    row: Row
    declared: ModelMetadata | None = None
    metadata: ModelMetadata | None = None
    rounds: list[Samples] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _worker: Worker | None = None

    @property
    def alive(self) -> bool:
        """Whether its worker still answers."""
        return self._worker is not None and self.row.error is None

    @property
    def input(self) -> InputSpec:
        """The input of an opened model."""
        assert self.metadata is not None
        return self.metadata.input

    def open(self, config: BenchConfig, cpus: list[int] | None, stack: ExitStack) -> None:
        """Start the worker, which the stack ends, and load the model."""
        self._worker = stack.enter_context(Worker(config.command))
        answer = self._ask(
            "open",
            model=self.row.path,
            declared=self.declared.to_json() if self.declared else None,
            backend=config.backend,
            threads=self.row.threads,
            cpus=cpus,
        )
        if answer:
            self.metadata = ModelMetadata.from_json(answer.pop("metadata"))
            self._update({**answer, "precision": self.metadata.precision, "source_sha256": self.metadata.source_sha256})

    def warm(self) -> None:
        """First inference and warm-up."""
        self._update(self._ask("warm"))

    def overhead_us(self) -> float | None:
        """What timing a call costs by itself."""
        return self._ask("overhead").get("overhead_us")

    def run(self, runs: int, seconds: float) -> list[float]:
        """Times of a round in milliseconds; empty when the worker fails."""
        answer = self._ask("run", runs=runs, seconds=seconds, patience_s=PATIENCE_S + 10 * seconds)
        samples: list[float] = answer.get("samples_ms", [])
        return samples

    def memory(self) -> None:
        """Resident memory, now and at its peak. Ask before anything but inference is done."""
        self._update(self._ask("memory"))

    def inspect(self, config: BenchConfig) -> None:
        """Stages, operators and their times. What one of these cannot do is a note, not the row's failure."""
        self._update(self._try("stages", runs=STAGE_RUNS))
        network = self._try("network")
        if network:
            operators = tuple(Operator.from_json(document) for document in network["operators"])
            self._update({"operators": operators, "macs": network["macs"]})
            if not self.row.precision:
                self._update({"precision": network["precision"]})
        if config.video:
            frames = config.video_frames
            patience_s = PATIENCE_S + frames  # a second a frame
            footage = {"source": str(config.video), "detector": config.detector, "max_frames": frames}
            self._update(self._try("video", patience_s=patience_s, **footage))
        if config.profile:
            times = self._try("profile", threads=self.row.threads, rounds=PROFILE_ROUNDS).get("operator_ms", [])
            if len(times) == len(self.row.operators):
                timed = zip(self.row.operators, times, strict=True)
                self._update({"operators": tuple(replace(operator, ms=ms) for operator, ms in timed)})

    def logits(self, images: Path, count: int, out: Path) -> NDArray[np.float32] | None:
        """Logits (N, classes) of the prepared images in a .npy file, by way of the file `out`; None when it fails.

        Logits that are no numbers are the row's failure too: they cannot be scored.
        """
        self._ask("predict", images=str(images), out=str(out), patience_s=PATIENCE_S + count)  # a second an image
        if not self.alive:
            return None
        try:
            return require_numbers(np.asarray(np.load(out), np.float32), "the model")
        except ModelError as error:
            self.row = replace(self.row, error=str(error))
            return None

    def finished(self) -> Row:
        """The row with the statistics of its rounds."""
        if not self.rounds:
            return self.row
        samples = np.concatenate(self.rounds)
        return replace(
            self.row,
            latency=Latency.of(samples),
            round_p50_ms=tuple(float(np.median(times)) for times in self.rounds),
            throughput_per_s=float(1e3 * len(samples) / max(samples.sum(), 1e-9)),
            samples_ms=samples,
        )

    def _ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The worker's answer; an empty dict when it fails, which then is the row's error."""
        if not self.alive or self._worker is None:
            return {}
        try:
            return self._worker.ask(do, **arguments)
        except WorkerError as error:
            self.row = replace(self.row, error=str(error))
            return {}

    def _try(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The worker's answer; when it refuses, a note and an empty dict; when it crashes, that is the row's error."""
        if not self.alive or self._worker is None:
            return {}
        try:
            return self._worker.ask(do, **arguments)
        except WorkerError as error:
            if self._worker.ended:
                self.row = replace(self.row, error=str(error))
            else:
                self.notes.append(f"{self.row.model}: no {do}: {error}")
            return {}

    def _update(self, answer: dict[str, Any]) -> None:
        """Put the answer's figures into the row's fields of the same names."""
        self.row = replace(self.row, **answer)
