"""Runs the bench: one worker process a row, rounds interleaved between them, then accuracy on the same images."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Dataset, Split
from ..edge_runtime.errors import DatasetError, EdgeEmotionError, OptionError, RuntimeMissingError
from ..edge_runtime.interpreter import BACKENDS, available_backends
from ..edge_runtime.metadata import InputSpec, ModelMetadata
from ..edge_runtime.zoo import resolve
from .accuracy import Accuracy, Scored, against, common_classes, find_reference, score_logits
from .client import COMMAND, PATIENCE_S, Worker, WorkerError
from .environment import Machine
from .latency import Latency, paired_ratio
from .noise import noise_notes
from .operators import Operator
from .recommend import recommend
from .report import BenchReport, Row
from .sustained import Sustained, first_and_last, sustain

logger = logging.getLogger(__name__)

STAGE_RUNS = 200
PROFILE_ROUNDS = 15


@dataclass(frozen=True)
class BenchConfig:
    """What to measure.

    seconds and min_runs: at least so long and so many timed inferences a row, over `rounds` rounds. declared: labels
    and input of files without metadata. min_accuracy: fraction; deadline_ms: for p95. profile: time each operator.
    sustained_s: then run the recommended row so long. video: time the whole pipeline on its first frames. command: what
    starts a worker.
    """

    backend: str = "auto"
    threads: tuple[int, ...] = (1,)
    seconds: float = 5.0
    min_runs: int = 50
    rounds: int = 10
    pin: bool = True
    split: str = "validation"
    classes: tuple[str, ...] | None = None
    declared: ModelMetadata | None = None
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
        if not 0 < self.seconds <= 86_400 or self.min_runs < 1 or self.rounds < 1:
            raise OptionError(f"--seconds must be above 0 and at most a day, got {self.seconds:g}")
        if self.min_accuracy is not None and not 0 < self.min_accuracy <= 1:
            raise OptionError(f"--min-accuracy is a fraction above 0 and at most 1, got {self.min_accuracy:g}")
        if self.deadline_ms is not None and self.deadline_ms <= 0:
            raise OptionError(f"--deadline-ms must be above 0, got {self.deadline_ms:g}")
        if self.sustained_s is not None and not 0 < self.sustained_s <= 86_400:
            raise OptionError(f"--sustained takes seconds, above 0 and at most a day, got {self.sustained_s:g}")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict of what shapes the figures."""
        names = ("backend", "seconds", "min_runs", "rounds", "pin", "split", "min_accuracy", "deadline_ms", "detector")
        return {
            **{name: getattr(self, name) for name in names},
            "threads": list(self.threads),
            "classes": list(self.classes) if self.classes else None,
            "video": str(self.video) if self.video else None,
        }


@dataclass
class _Entry:
    """A row while it is being measured."""

    row: Row
    worker: Worker | None = None
    metadata: ModelMetadata | None = None
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.row.error is None and self.worker is not None

    def ask(self, do: str, patience_s: float = PATIENCE_S, **arguments: Any) -> dict[str, Any]:
        """The worker's answer; an empty dict when it fails, which from then on is the row's error."""
        if not self.alive or self.worker is None:
            return {}
        try:
            return self.worker.ask(do, patience_s=patience_s, **arguments)
        except WorkerError as error:
            self.row = replace(self.row, error=str(error))
            return {}

    def update(self, answer: dict[str, Any]) -> None:
        """Put the answer's figures into the row's fields of the same names."""
        self.row = replace(self.row, **answer)


def run_bench(
    models: Sequence[Path | str],
    config: BenchConfig = BenchConfig(),
    dataset: Dataset | None = None,
    *,
    progress: Progress | None = None,
    on_phase: Callable[[str], None] | None = None,
    machine: Machine | None = None,
) -> BenchReport:
    """Measure every model at every number of threads; with a dataset also score them.

    A model that fails has an error in its row and the others go on. Ctrl-C ends the measuring: the report then holds
    what there is, and says so. Raises ModelError for a model that does not exist, RuntimeMissingError without a
    runtime, DatasetError when the data's classes do not fit, and EdgeEmotionError when not one model could be run.
    """
    machine = machine or Machine()
    say = on_phase or (lambda phase: None)
    entries = [_Entry(row) for row in _rows(models, config)]
    before, interrupted, overhead, sustained = machine.vitals(), False, None, None
    notes: list[str] = []
    with ExitStack() as stack:
        try:
            say("loading")
            for entry in entries:
                _open(entry, config, machine, stack)
            if not any(entry.alive for entry in entries):
                raise EdgeEmotionError(_all_failed(entries))
            splits = _load_splits(entries, config, dataset, progress) if dataset else {}
            say("warming up")
            for entry in entries:
                entry.update(entry.ask("warm"))
            overhead = next((e.ask("overhead").get("overhead_us") for e in entries if e.alive), None)
            say("timing")
            _time(entries, config, progress)
            for entry in entries:
                entry.update(entry.ask("memory"))
            say("looking inside")
            for entry in entries:
                _look_inside(entry, config, notes)
            if splits:
                say("scoring")
                _score(entries, splits, progress)
            if config.sustained_s:
                say("sustained run")
                sustained = _sustain(entries, config, machine, progress)
        except KeyboardInterrupt:
            interrupted = True
            notes.append("interrupted: the figures are of what was measured until then")
    rows = _finish(entries)
    if not interrupted and not any(row.latency for row in rows):
        raise EdgeEmotionError(_all_failed(entries))
    environment = machine.environment()
    notes += noise_notes(environment, before, machine.vitals(), rows)
    return BenchReport(
        environment=environment,
        settings=config.to_json() | {"data": str(dataset.path) if dataset else None},
        rows=rows,
        recommendation=recommend(rows, config.min_accuracy, config.deadline_ms),
        notes=tuple(notes),
        overhead_us=overhead,
        sustained=sustained,
        interrupted=interrupted,
    )


def _rows(models: Sequence[Path | str], config: BenchConfig) -> list[Row]:
    """The empty rows, one a model and number of threads."""
    installed = available_backends()
    if config.command == COMMAND and config.backend not in (*installed, "auto"):
        raise RuntimeMissingError(
            f"{BACKENDS[config.backend][1]} is not installed: pip install {BACKENDS[config.backend][1]}"
        )
    paths = [resolve(model) for model in models]
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


def _open(entry: _Entry, config: BenchConfig, machine: Machine, stack: ExitStack) -> None:
    entry.worker = stack.enter_context(Worker(config.command))
    answer = entry.ask(
        "open",
        model=entry.row.path,
        declared=config.declared.to_json() if config.declared else None,
        backend=config.backend,
        threads=entry.row.threads,
        cpus=machine.fastest_cpus(entry.row.threads) if config.pin else None,
    )
    if answer:
        entry.metadata = ModelMetadata.from_json(answer.pop("metadata"))
        entry.update({**answer, "precision": entry.metadata.precision})


def _time(entries: list[_Entry], config: BenchConfig, progress: Progress | None) -> None:
    """Rounds; in each every row runs once, starting with another one each time, so that drift hits all alike."""
    runs = -(-config.min_runs // config.rounds)
    seconds = config.seconds / config.rounds
    done, total = 0, config.rounds * len(entries)
    for number in range(config.rounds):
        shift = number % len(entries)
        for entry in entries[shift:] + entries[:shift]:
            answer = entry.ask("run", runs=runs, seconds=seconds, patience_s=PATIENCE_S + 10 * seconds)
            if answer:
                entry.rounds.append(answer["samples_ms"])
            done += 1
            if progress:
                progress(done, total)


def _look_inside(entry: _Entry, config: BenchConfig, notes: list[str]) -> None:
    """Operators, stages and profile. What one of these cannot do is a note, not the row's failure."""
    if not entry.alive or entry.worker is None:
        return
    questions: dict[str, dict[str, Any]] = {"stages": {"runs": STAGE_RUNS}, "network": {}}
    if config.video:
        questions["video"] = {
            "source": str(config.video),
            "detector": config.detector,
            "max_frames": config.video_frames,
            "patience_s": PATIENCE_S + config.video_frames,
        }
    if config.profile:
        questions["profile"] = {"threads": entry.row.threads, "rounds": PROFILE_ROUNDS}
    for do, arguments in questions.items():
        try:
            answer = entry.worker.ask(do, **arguments)
        except WorkerError as error:
            notes.append(f"{entry.row.model}: no {do}: {error}")
            if entry.worker.ended:
                entry.row = replace(entry.row, error=str(error))
                return
            continue
        if do == "network":
            own = entry.metadata is not None and entry.metadata != config.declared
            precision = entry.row.precision if own else answer["precision"]
            operators = tuple(Operator.from_json(document) for document in answer["operators"])
            answer = {"operators": operators, "macs": answer["macs"], "precision": precision}
        elif do == "profile":
            timed = zip(entry.row.operators, answer["operator_ms"], strict=True)
            answer = {"operators": tuple(replace(operator, ms=ms) for operator, ms in timed)}
        entry.update(answer)


def _sustain(
    entries: list[_Entry], config: BenchConfig, machine: Machine, progress: Progress | None
) -> Sustained | None:
    """Run the recommended row (else the first that works) without a pause."""
    rows = _finish(entries)
    chosen = recommend(rows, config.min_accuracy, config.deadline_ms)
    alive = [entry for entry in entries if entry.alive]
    wanted = [e for e in alive if (e.row.model, e.row.threads) == (chosen.model, chosen.threads)]
    if not alive or config.sustained_s is None:
        return None
    entry = (wanted or alive)[0]
    points = sustain(
        lambda seconds: entry.ask("run", runs=1, seconds=seconds).get("samples_ms", []),
        machine.vitals,
        config.sustained_s,
        progress,
    )
    return Sustained(entry.row.model, entry.row.threads, config.sustained_s, points, first_and_last(points))


def _load_splits(
    entries: list[_Entry], config: BenchConfig, dataset: Dataset, progress: Progress | None
) -> dict[InputSpec, Split]:
    """The split prepared for each kind of input: the same images in the same order for all rows."""
    models = [entry.metadata for entry in entries if entry.metadata]
    classes = common_classes(models, dataset, config.classes)
    specs = dict.fromkeys(model.input for model in models)
    return {spec: dataset.load(config.split, spec, classes, progress) for spec in specs}


def _score(entries: list[_Entry], splits: dict[InputSpec, Split], progress: Progress | None) -> None:
    """Accuracy once a file, with its first number of threads; the file's other rows repeat it."""
    scored: dict[str, Scored] = {}
    hashes = {spec: split.sha256 for spec, split in splits.items()}
    with tempfile.TemporaryDirectory(prefix="edge-emotion-bench-") as folder:
        files = {}
        for number, (spec, split) in enumerate(splits.items()):
            files[spec] = Path(folder) / f"images-{number}.npy"
            np.save(files[spec], split.images)
        out = Path(folder) / "logits.npy"
        for number, entry in enumerate(entries):
            if entry.metadata is None or entry.row.path in scored or not entry.alive:
                continue
            spec = entry.metadata.input
            patience_s = PATIENCE_S + len(splits[spec])  # a second an image
            entry.ask("predict", images=str(files[spec]), out=str(out), patience_s=patience_s)
            if entry.alive:
                try:
                    scored[entry.row.path] = score_logits(np.load(out), entry.metadata, splits[spec])
                except EdgeEmotionError as error:
                    raise DatasetError(f"{entry.row.model}: {error}") from error
            if progress:
                progress(number + 1, len(entries))
    whole = [entry for entry in entries if entry.metadata and entry.row.path in scored]
    models = [entry.metadata for entry in whole if entry.metadata]
    for index, entry in enumerate(whole):
        split = splits[models[index].input]
        own, reference = scored[entry.row.path], whole[find_reference(index, models)].row
        if reference.path == entry.row.path:
            block = Accuracy(split.name, hashes[models[index].input], own.metrics)
        else:
            block = against(own, scored[reference.path], reference.model, split, hashes[models[index].input])
        entry.row = replace(entry.row, accuracy=block)


def _finish(entries: list[_Entry]) -> tuple[Row, ...]:
    """Rows with their statistics; ratios over the rounds that a row and the reference row both have."""
    for entry in entries:
        if entry.rounds:
            samples = np.concatenate([np.asarray(r, np.float64) for r in entry.rounds])
            entry.row = replace(
                entry.row,
                latency=Latency.of(samples),
                round_p50_ms=tuple(float(np.median(r)) for r in entry.rounds),
                throughput_per_s=float(1e3 * len(samples) / max(samples.sum(), 1e-9)),
                samples_ms=samples,
            )
    rows = [entry.row for entry in entries]
    timed = [row for row in rows if row.latency]
    reference = next((row for row in timed if row.precision == "float32"), timed[0] if timed else None)
    for index, row in enumerate(rows):
        common = min(len(row.round_p50_ms), len(reference.round_p50_ms)) if reference else 0
        if reference and common:
            ratio = paired_ratio(row.round_p50_ms[:common], reference.round_p50_ms[:common])
            rows[index] = replace(row, ratio=ratio)
    return tuple(rows)


def _all_failed(entries: list[_Entry]) -> str:
    first = entries[0].row
    return f"no model could be run; {first.path}: {first.error}"
