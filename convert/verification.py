"""Judge one converted flatbuffer on the device path, and give it its name only then."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Split
from ..edge_runtime.evaluate import Evaluation, ParallelClassifier, evaluate
from ..edge_runtime.metadata import Measurement, ModelMetadata
from ..edge_runtime.metrics import fit_temperature
from ..edge_runtime.provenance import tool_versions
from .calibration import Calibration
from .contract import Contract, Cost
from .conversion import Output
from .coral import files_of
from .flips import FlipReport, find_flips
from .graph import read_graph
from .layers import LayerReport, analyse
from .recipes import Recipe
from .refinement import REFINEMENTS
from .targets import Reference, judge

REJECTED = ".rejected"


@dataclass(frozen=True)
class Verifier:
    """Everything that one conversion's files are held against.

    source: metadata of the float model. probe: images and the float model's logits for the targets' verdicts.
    validation and reference (the float model's evaluation on it) are both there or both None.
    """

    source: ModelMetadata
    out: Path
    contract: Contract
    probe: Reference
    calibration: Calibration | None = None
    validation: Split | None = None
    reference: Evaluation | None = None

    def verify(
        self, flatbuffer: bytes, recipe: Recipe, exact: bytes | None = None, progress: Progress | None = None
    ) -> Output:
        """Evaluate the flatbuffer, fit its temperature, judge it, and write it with its metadata.

        exact: the float32 flatbuffer of the same model, for the error of each layer of an int8 one.
        A file that exceeds an enforced limit is written as `….tflite.rejected`, and an earlier one of its name removed;
        so is one that LiteRT cannot run, or that answers garbage where no enforced limit says how much that costs.
        """
        graph = read_graph(flatbuffer)
        used = self.calibration if recipe.needs_calibration else None
        metadata = dataclasses.replace(
            self.source,
            precision=recipe.name,
            temperature=1.0,
            calibration_sha256=used.sha256 if used else "",
            measured=None,
            min_runtime=graph.min_runtime,
            tools=tool_versions(),
        )
        runs_on, partitions = judge(flatbuffer, graph, metadata, self.probe.images, self.probe)
        here = runs_on["litert"]
        runs = here.verdict != "fails"
        evaluation: Evaluation | None = None
        cost: Cost | None = None
        flips: FlipReport | None = None
        if runs and self.validation is not None and self.reference is not None:
            with ParallelClassifier(flatbuffer, metadata=metadata) as classifier:
                logits = evaluate(classifier, self.validation, progress).logits
            evaluation = calibrated(self.validation, logits)
            cost = Cost.between(self.reference, evaluation)
            flips = find_flips(self.reference, evaluation)
            metadata = dataclasses.replace(
                metadata, temperature=evaluation.temperature, measured=_measurement(evaluation)
            )
        record: dict[str, Any] = {"recipe": recipe.to_json(), "calibration": used.to_json() if used else None}
        record["refinement"] = list(REFINEMENTS) if recipe.precision == "int8" else []
        record["cost"] = cost.to_json() if cost else None
        content = model_metadata.attach(flatbuffer, metadata, record)
        unsound: tuple[str, ...] = ()
        if here.is_unsound and not (cost and self.contract.enforced(cost.paired.n)):
            unsound = (str(here),)
        binding = (*unsound, *(self.contract.binding(cost) if cost else ()))
        breaches = (*unsound, *(self.contract.breaches(cost) if cost else ()))
        return Output(
            path=self._write(recipe, content, bool(binding)),
            recipe=recipe,
            metadata=metadata,
            size_bytes=len(content),
            runs_on=runs_on,
            partitions=partitions,
            evaluation=evaluation,
            cost=cost,
            flips=flips,
            layers=self._layers(flatbuffer, recipe, exact) if runs else None,
            breaches=binding or breaches,
            rejected=bool(binding),
        )

    def _layers(self, flatbuffer: bytes, recipe: Recipe, exact: bytes | None) -> LayerReport | None:
        if recipe.precision != "int8" or exact is None or self.calibration is None:
            return None
        return analyse(exact, flatbuffer, self.source.input, self.calibration.images)

    def _write(self, recipe: Recipe, content: bytes, rejected: bool) -> Path:
        shipped = self.out / f"{self.source.name}-{recipe.name}.tflite"
        refused = shipped.with_name(shipped.name + REJECTED)
        path, *earlier = (refused, shipped, *files_of(shipped)) if rejected else (shipped, refused)
        write_atomically(path, content)
        for file in earlier:
            file.unlink(missing_ok=True)  # what an earlier conversion came to is no longer so
        return path


def calibrated(split: Split, logits: NDArray[np.float32]) -> Evaluation:
    """The evaluation of logits (N, classes of the split) at the temperature that fits them best."""
    return Evaluation.of_logits(split, logits, fit_temperature(logits, split.labels))


def _measurement(evaluation: Evaluation) -> Measurement:
    split, metrics = evaluation.split, evaluation.metrics
    return Measurement(split.name, metrics.n, metrics.accuracy, metrics.accuracy_ci95, split.sha256)
