"""What an inference costs on an emulated board, in instructions, and whether it answers what this machine answers.

Instructions are not time: a core executes several at once and waits for memory. But they repeat, so they tell whether a
change made a model dearer, and they order models of one kind on one kernel set as a quiet board would.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime import console
from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Split
from ..edge_runtime.errors import ModelError
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Image, resize
from ..edge_runtime.zoo import resolve
from .emulation import EmulatedBoard, GuestError
from .guest import SECTIONS, WARM_UP, Request, answer, pack
from .operators import read_network

SCHEMA_VERSION = 1
CROPS = 200
REPEATS = 10
PROBABILITY_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Agreement:
    """An emulated board's answers beside this machine's, on the same n crops.

    pixels: prepared pixels equal. bits: logits equal bit for bit. logit, probability: largest absolute differences.
    labels: fraction of crops with the same label.
    """

    n: int
    pixels: bool
    bits: bool
    logit: float
    probability: float
    labels: float

    @classmethod
    def between(cls, guest: dict[str, Any], host: dict[str, Any]) -> Agreement:
        """Compare two answers of `guest.answer`."""
        there, here = (np.array(side["logits"], np.float32) for side in (guest, host))
        p_there, p_here = (np.array(side["probabilities"], np.float32) for side in (guest, host))
        return cls(
            n=len(here),
            pixels=guest["pixels_sha256"] == host["pixels_sha256"],
            bits=bool(np.array_equal(there, here)),
            logit=float(np.abs(there - here).max()),
            probability=float(np.abs(p_there - p_here).max()),
            labels=float(np.mean(there.argmax(1) == here.argmax(1))),
        )


@dataclass(frozen=True)
class EmulatedRow:
    """One model on one board. A row that failed has `error` and nothing measured.

    instructions: of each of `guest.SECTIONS`, the median of its repeats. spread: their largest minus their smallest.
    """

    model: str
    size_bytes: int
    precision: str = ""
    backend: str = ""
    instructions: dict[str, int] = field(default_factory=dict)
    spread: dict[str, int] = field(default_factory=dict)
    agreement: Agreement | None = None
    error: str | None = None

    @property
    def key(self) -> str:
        """The name that limits are kept under, such as `edge-m-int8`: the model's with its precision, once."""
        return self.model if self.model.endswith(self.precision) else f"{self.model}-{self.precision}"


@dataclass(frozen=True)
class EmulatedReport:
    """Rows of one board. packages: versions installed there, and QEMU's. host: versions on this machine.

    broken: a sentence for each thing that is not as it has to be (see `promise`).
    """

    board: str
    description: str
    rows: tuple[EmulatedRow, ...]
    packages: dict[str, str]
    host: dict[str, str]
    broken: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, with `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, "unit": "guest instructions, not time", **asdict(self)}


def emulate(
    models: Sequence[str],
    board: EmulatedBoard,
    crops: Sequence[Image],
    *,
    declared: Mapping[Path, ModelMetadata] | None = None,
    progress: Progress = lambda done, total: None,
) -> EmulatedReport:
    """Count and compare each model in a guest of its own: one that crashes has a row that says so.

    `predict` is counted on the first crop. declared: path → metadata in place of the file's own, with an empty
    precision where its tensors are to tell. Raises DeviceError when this machine cannot emulate the board.
    """
    rows: list[EmulatedRow] = []
    broken: list[str] = []
    packages: dict[str, str] = {"qemu": board.qemu_version()}
    host: dict[str, str] = {}
    for done, model in enumerate(models):
        progress(done, len(models))
        path = resolve(model)
        content = path.read_bytes()
        said = (declared or {}).get(path)
        request = Request(said.to_json() if said else None, "auto", REPEATS)
        try:
            here = answer(content, crops, request)
            there, sections = _ask(board, content, crops, request)
        except (GuestError, ModelError) as error:
            rows.append(EmulatedRow(path.stem, len(content), error=str(error)))
            continue
        row = EmulatedRow(
            model=path.stem,
            size_bytes=len(content),
            precision=there["metadata"]["precision"] or read_network(content, here["backend"]).precision,
            backend=there["backend"],
            instructions={name: round(statistics.median(runs)) for name, runs in sections.items()},
            spread={name: max(runs) - min(runs) for name, runs in sections.items()},
            agreement=Agreement.between(there, here),
        )
        rows.append(row)
        broken.extend(promise(row, here["backend"]))
        packages.update(there["versions"])
        host.update(here["versions"])
    progress(len(models), len(models))
    return EmulatedReport(board.name, board.description, tuple(rows), packages, host, tuple(broken))


def promise(row: EmulatedRow, host_backend: str) -> list[str]:
    """A sentence for each promise that the row breaks.

    Preprocessing gives the same pixels everywhere; an int8 file gives the same logits, bit for bit, with the same
    runtime on both machines. Float arithmetic, and another runtime's int8 kernels, may differ: reported, not promised.
    """
    agreement = row.agreement
    if agreement is None:
        return []
    if not agreement.pixels:
        return [f"{row.key}: preprocessing gives other pixels on the board than here"]
    if not row.precision.startswith("int8") or row.backend != host_backend:
        return []
    if not agreement.bits:
        return [f"{row.key}: int8 logits differ from this machine's by up to {agreement.logit:.3g}"]
    if agreement.probability > PROBABILITY_TOLERANCE:
        return [f"{row.key}: probabilities differ from this machine's by up to {agreement.probability:.1e}"]
    return []


def comparison_crops(split: Split | None = None, count: int = CROPS) -> list[Image]:
    """Fixed made-up crops of many sizes, grey and colour; with a split, every other one is an image of it."""
    rng = np.random.default_rng(0)
    crops: list[Image] = []
    for index in range(count):
        if split is not None and index % 2:
            crops.append(split.images[index * len(split) // count])
            continue
        side = 96 if index == 0 else int(rng.integers(24, 256))
        colours = (3,) if index % 4 == 2 else ()
        coarse = rng.integers(0, 256, (12, 12, *colours), np.uint8)
        grain = rng.integers(-24, 25, (side, side, *colours))
        crops.append(np.clip(resize(coarse, (side, side)) + grain, 0, 255).astype(np.uint8))
    return crops


def render(report: EmulatedReport) -> str:
    """The report as text."""
    rows = [_cells(row) for row in report.rows]
    headers = ("model", "precision", "invoke", "face crop to answer", "logits as here", "largest Δp", "same labels")
    packages = ", ".join(f"{name} {version}" for name, version in report.packages.items())
    failed = [f"{row.model}: {row.error}" for row in report.rows if row.error]
    return "\n".join(
        [
            f"Instructions an inference on an emulated {report.board} ({report.description}), one thread.",
            "They are not time, and say nothing of it beyond more or less work.",
            console.table(headers, rows, left=2),
            *failed,
            f"on the board: {packages}",
        ]
    )


def _cells(row: EmulatedRow) -> tuple[str, ...]:
    if row.agreement is None:
        return (row.model, row.precision, *(["failed"] + [""] * 4))
    same = "bit for bit" if row.agreement.bits else f"within {row.agreement.logit:.2g}"
    counts = (f"{row.instructions[name]:,}" for name in SECTIONS)
    agreement = (same, f"{row.agreement.probability:.1e}", console.percent(row.agreement.labels, 1))
    return (row.model, row.precision, *counts, *agreement)


def _ask(
    board: EmulatedBoard, model: bytes, crops: Sequence[Image], request: Request
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The guest's answer, and the counts of each section without the warm-up."""
    run = board.run(
        ["-m", "edge_emotion.benchmarks.guest"],
        {
            "model.tflite": model,
            "crops.npz": pack(crops),
            "request.json": json.dumps(asdict(request)).encode(),
        },
    )
    counts = run.sections()
    sections = {name: counts.get(index, [])[WARM_UP:] for index, name in enumerate(SECTIONS)}
    if any(len(runs) != request.repeats for runs in sections.values()):
        raise GuestError(f"the guest passed {len(run.marks)} marks, not those of {request.repeats} repeats")
    try:
        return json.loads(run.stdout), sections
    except ValueError as error:
        raise GuestError(f"the guest answered no JSON but {run.stdout[:80]!r}") from error
