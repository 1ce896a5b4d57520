"""Runs the bench: one worker process a row, rounds interleaved between them, then accuracy on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Dataset
from ..edge_runtime.errors import EdgeEmotionError, RuntimeMissingError
from ..edge_runtime.interpreter import BACKENDS, available_backends
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.zoo import resolve
from .client import COMMAND
from .config import DEFAULTS, BenchConfig
from .environment import Machine
from .latency import paired_ratio
from .measurement import Measurement
from .noise import noise_notes
from .recommend import recommend
from .report import BenchReport, Row
from .scoring import load_splits, score_all
from .sustained import Point, Sustained, first_and_last, sustain


def run_bench(
    models: Sequence[Path | str],
    config: BenchConfig = DEFAULTS,
    dataset: Dataset | None = None,
    *,
    declared: Mapping[Path, ModelMetadata] | None = None,
    progress: Progress | None = None,
    machine: Machine | None = None,
) -> BenchReport:
    """Measure every model at every number of threads; with a dataset also score them.

    declared: path → metadata in place of the file's own, with an empty precision where its tensors are to tell.

    A model that fails has an error in its row and the others go on. Ctrl-C ends the measuring: the report then holds
    what there is, and says so. Raises ModelError for a model that does not exist, RuntimeMissingError without a
    runtime, DatasetError when the data's classes do not fit, and EdgeEmotionError when not one model could be run.
    """
    machine = machine or Machine()
    before = machine.vitals()
    said = declared or {}
    measurements = [Measurement(row, said.get(Path(row.path))) for row in empty_rows(models, config)]
    bench = _Bench(measurements, config, machine, progress)
    interrupted = False
    with ExitStack() as stack:
        try:
            bench.measure(dataset, stack)
        except KeyboardInterrupt:
            interrupted = True
    rows = bench.rows()
    environment = machine.environment()
    notes = ["interrupted: the figures are of what was measured until then"] if interrupted else []
    notes += dict.fromkeys(note for measurement in bench.measurements for note in measurement.notes)
    notes += noise_notes(environment, before, machine.vitals(), rows)
    return BenchReport(
        environment=environment,
        settings=config.to_json() | {"data": str(dataset.path) if dataset else None},
        rows=rows,
        recommendation=recommend(rows, config.min_accuracy, config.deadline_ms),
        notes=tuple(notes),
        overhead_us=bench.overhead_us,
        sustained=bench.sustained(),
        interrupted=interrupted,
    )


def empty_rows(models: Sequence[Path | str], config: BenchConfig) -> list[Row]:
    """The rows to be measured, one a model and number of threads. Raises ModelError and RuntimeMissingError."""
    if config.command == COMMAND and config.backend not in ("auto", *available_backends()):
        distribution = BACKENDS[config.backend][1]
        raise RuntimeMissingError(f"{distribution} is not installed: pip install {distribution}")
    paths = list(dict.fromkeys(resolve(model) for model in models))
    stems = [path.stem for path in paths]
    return [
        Row(
            model=path.stem if stems.count(path.stem) == 1 else str(path),
            path=str(path),
            precision="",
            backend=config.backend,
            threads=threads,
            size_bytes=path.stat().st_size,
        )
        for path in paths
        for threads in config.threads
    ]


class _Bench:
    """The steps of a bench in order; what they find stays here when one is interrupted."""

    def __init__(
        self, measurements: list[Measurement], config: BenchConfig, machine: Machine, progress: Progress | None
    ) -> None:
        self.measurements = measurements
        self.overhead_us: float | None = None
        self._config, self._machine, self._progress = config, machine, progress
        self._points: list[Point] = []
        self._sustained_row: Row | None = None

    def measure(self, dataset: Dataset | None, stack: ExitStack) -> None:
        """Everything. The stack ends the workers."""
        config = self._config
        for measurement in self.measurements:
            cpus = self._machine.fastest_cpus(measurement.row.threads) if config.pin else None
            measurement.open(config, cpus, stack)
        self._require_one()
        splits = load_splits(self.measurements, config, dataset, self._progress) if dataset else {}
        for measurement in self.measurements:
            measurement.warm()
        self.overhead_us = self._first_alive().overhead_us()
        self._time()
        self._require_one()
        for measurement in self.measurements:
            measurement.memory()
        for measurement in self.measurements:
            measurement.inspect(config)
        if splits:
            score_all(self.measurements, splits, self._progress)
        if config.sustained_s:
            self._sustain(config.sustained_s)

    def rows(self) -> tuple[Row, ...]:
        """Rows with their statistics; ratios over the rounds that a row and the reference row both have.

        The reference is the first float32 row, or else the first.
        """
        rows = [measurement.finished() for measurement in self.measurements]
        timed = [row for row in rows if row.latency]
        reference = next((row for row in timed if row.precision == "float32"), timed[0] if timed else None)
        if reference is None:
            return tuple(rows)
        return tuple(_with_ratio(row, reference) for row in rows)

    def sustained(self) -> Sustained | None:
        """The sustained run, as far as it went."""
        row, seconds, points = self._sustained_row, self._config.sustained_s, tuple(self._points)
        if row is None or seconds is None:
            return None
        return Sustained(row.model, row.threads, seconds, points, first_and_last(points))

    def _time(self) -> None:
        """Rounds; in each every row runs once, starting with another one each time, so that drift hits all alike."""
        config = self._config
        runs, seconds = -(-config.min_runs // config.rounds), config.seconds / config.rounds
        total = config.rounds * len(self.measurements)
        for done, measurement in enumerate(interleaved(self.measurements, config.rounds), 1):
            samples = measurement.run(runs, seconds)
            if samples:
                measurement.rounds.append(np.asarray(samples))
            if self._progress:
                self._progress(done, total)

    def _sustain(self, seconds: float) -> None:
        """Run the recommended row (else the first that works) without a pause."""
        advice = recommend(self.rows(), self._config.min_accuracy, self._config.deadline_ms)
        wanted = [
            m for m in self.measurements if m.alive and (m.row.model, m.row.threads) == (advice.model, advice.threads)
        ]
        measurement = wanted[0] if wanted else self._first_alive()
        self._sustained_row = measurement.row
        for point in sustain(lambda span: measurement.run(1, span), self._machine.vitals, seconds):
            self._points.append(point)
            if self._progress:
                self._progress(min(round(point.time_s), round(seconds)), round(seconds))

    def _first_alive(self) -> Measurement:
        self._require_one()
        return next(measurement for measurement in self.measurements if measurement.alive)

    def _require_one(self) -> None:
        if not any(measurement.alive for measurement in self.measurements):
            first = self.measurements[0].row
            raise EdgeEmotionError(f"no model could be run; {first.path}: {first.error}")


def interleaved(measurements: Sequence[Measurement], rounds: int) -> Iterator[Measurement]:
    """Each measurement once a round, every round beginning with the next one."""
    for number in range(rounds):
        shift = number % len(measurements)
        yield from measurements[shift:]
        yield from measurements[:shift]


def _with_ratio(row: Row, reference: Row) -> Row:
    common = min(len(row.round_p50_ms), len(reference.round_p50_ms))
    if not common:
        return row
    return replace(row, ratio=paired_ratio(row.round_p50_ms[:common], reference.round_p50_ms[:common]))
