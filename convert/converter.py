"""Convert a model and prove what it cost: lower, evaluate on the device path, judge, write with metadata inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime import console, interpreter
from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.dataset import Split
from ..edge_runtime.errors import DatasetError
from ..edge_runtime.evaluate import Evaluation, ParallelClassifier, evaluate
from ..edge_runtime.labels import class_indices
from ..edge_runtime.metadata import Measurement, ModelMetadata, write_atomically
from ..edge_runtime.metrics import fit_temperature
from ..edge_runtime.preprocess import Image
from ..train.trainer import tool_versions
from .calibration import Calibration
from .contract import DEFAULT, Contract, Cost
from .lowering import Job, lower
from .recipes import RECIPES, Recipe
from .source import source_sha256

SCHEMA_VERSION = 1
REJECTED = ".rejected"

Stage = Callable[[str], AbstractContextManager[console.Progress]]
"""Opens a progress display for a named stage, such as `console.progress`."""


@dataclass(frozen=True)
class Output:
    """One converted file. evaluation and cost are None when there was no validation data.

    breaches: limits of the contract that it exceeds; rejected: it was written under the `.rejected` name for them.
    """

    path: Path
    recipe: Recipe
    metadata: ModelMetadata
    size_bytes: int
    evaluation: Evaluation | None = None
    cost: Cost | None = None
    breaches: tuple[str, ...] = ()
    rejected: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict with the keys of `convert --json`."""
        return {
            "path": str(self.path),
            "precision": self.recipe.name,
            "recipe": self.recipe.to_json(),
            "size_bytes": self.size_bytes,
            "accuracy": self.evaluation.metrics.accuracy if self.evaluation else None,
            "temperature": self.metadata.temperature,
            **({"drop_pp": None, "agreement": None, "flips": None} if self.cost is None else self.cost.to_json()),
            "min_runtime": self.metadata.min_runtime,
            "runs_on": {},
            "breaches": list(self.breaches),
            "rejected": self.rejected,
        }


@dataclass(frozen=True)
class Conversion:
    """All that one conversion made: the source, its own evaluation, and the files."""

    source: Path
    source_sha256: str
    metadata: ModelMetadata
    contract: Contract
    outputs: tuple[Output, ...]
    reference: Evaluation | None = None
    calibration: Calibration | None = None

    @property
    def rejected(self) -> tuple[Output, ...]:
        """The files that failed the contract."""
        return tuple(output for output in self.outputs if output.rejected)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, the document of `convert --json`."""
        n = self.reference.metrics.n if self.reference else 0
        return {
            "schema_version": SCHEMA_VERSION,
            "source": {
                "path": str(self.source),
                "sha256": self.source_sha256,
                "name": self.metadata.name,
                "labels": list(self.metadata.labels),
                "evaluation": self.reference.to_json() if self.reference else None,
            },
            "outputs": [output.to_json() for output in self.outputs],
            "contract": {
                **self.contract.to_json(),
                "n": n,
                "enforced": n > 0 and self.contract.enforced(n),
                "met": None if n == 0 else not any(output.breaches for output in self.outputs),
            },
        }


def convert_model(
    model: Path,
    out: Path,
    *,
    recipes: Sequence[Recipe] = tuple(RECIPES.values()),
    calibration: Calibration | None = None,
    validation: Split | None = None,
    contract: Contract = DEFAULT,
    declared: ModelMetadata | None = None,
    stage: Stage = console.progress,
) -> Conversion:
    """Convert a `.keras` file or SavedModel folder into `out`, one `<name>-<precision>.tflite` a recipe.

    Each file is evaluated on `validation` through the device path, its temperature fitted there, and judged by the
    contract before it gets its name: one that fails is written as `….tflite.rejected`. A name only ever holds a whole,
    judged file. declared: metadata of a model that carries none.
    Raises ModelError, DatasetError (int8 without calibration), RuntimeMissingError (no TensorFlow).
    """
    if calibration is None and any(recipe.needs_calibration for recipe in recipes):
        raise DatasetError("int8 needs representative images: give --data or --calibration DIR")
    job = Job(
        model,
        tuple(recipes),
        calibration.images if calibration else _no_images(),
        validation.images if validation else _no_images(),
        declared,
    )
    sha256 = source_sha256(model)
    with stage("converting") as progress:
        lowered = lower(job, progress)
    source = dataclasses.replace(lowered.metadata, source_sha256=sha256)
    reference = None
    if validation is not None:
        reference = _calibrated(validation, lowered.logits[:, class_indices(validation.classes, source.labels)])
    outputs = []
    for recipe, flatbuffer in zip(recipes, lowered.files, strict=True):
        with stage(f"verifying {recipe.name}") as progress:
            outputs.append(
                _verify_and_write(
                    flatbuffer, recipe, source, out, calibration, validation, reference, contract, progress
                )
            )
    return Conversion(model, sha256, source, contract, tuple(outputs), reference, calibration)


def _verify_and_write(
    flatbuffer: bytes,
    recipe: Recipe,
    source: ModelMetadata,
    out: Path,
    calibration: Calibration | None,
    validation: Split | None,
    reference: Evaluation | None,
    contract: Contract,
    progress: console.Progress,
) -> Output:
    used = calibration if recipe.needs_calibration else None
    metadata = dataclasses.replace(
        source,
        precision=recipe.name,
        temperature=1.0,
        calibration_sha256=used.sha256 if used else "",
        measured=None,
        tools=tool_versions(),
    )
    evaluation: Evaluation | None = None
    cost: Cost | None = None
    breaches: tuple[str, ...] = ()
    with ParallelClassifier(flatbuffer, metadata=metadata) as classifier:
        if validation is not None and reference is not None:
            evaluation = _calibrated(validation, evaluate(classifier, validation, progress).logits)
            cost = Cost.between(reference, evaluation)
            breaches = contract.breaches(cost)
            metrics = evaluation.metrics
            measured = Measurement(
                validation.name, metrics.n, metrics.accuracy, metrics.accuracy_ci95, validation.sha256
            )
            metadata = dataclasses.replace(metadata, temperature=evaluation.temperature, measured=measured)
    record = {"recipe": recipe.to_json(), "calibration": used.to_json() if used else None}
    if cost is not None:
        record["cost"] = cost.to_json()
    content = model_metadata.attach(flatbuffer, metadata, record)
    path = out / f"{source.name}-{recipe.name}.tflite"
    rejected = bool(breaches) and contract.enforced(len(validation) if validation else 0)
    refused = path.with_name(path.name + REJECTED)
    write_atomically(refused if rejected else path, content)
    if not rejected:
        refused.unlink(missing_ok=True)
    return Output(refused if rejected else path, recipe, metadata, len(content), evaluation, cost, breaches, rejected)


def _calibrated(split: Split, logits: Any) -> Evaluation:
    """The evaluation of logits (N, classes of the split) at the temperature that fits them best."""
    return Evaluation.of_logits(split, logits, fit_temperature(logits, split.labels))


def _no_images() -> Image:
    return np.zeros((0, 1, 1, 1), np.uint8)


def runtime_names() -> str:
    """The runtimes that verified the files, such as `litert 2.3.0`."""
    name = interpreter.available_backends()[0]
    return f"{name} {interpreter.runtime_version(name)}"
