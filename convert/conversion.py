"""What a conversion made: the files, what each cost, where each runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime.evaluate import Evaluation
from ..edge_runtime.metadata import ModelMetadata
from .calibration import Calibration
from .contract import Contract, Cost
from .coral import CoralFile
from .flips import FlipReport
from .layers import LayerReport
from .recipes import Recipe
from .targets import Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Output:
    """One converted file. evaluation, cost and flips are None when there was no validation data, or the file fails.

    breaches: limits of the contract that it exceeds, and where these do not bind, that it fails or answers garbage.
    rejected: it was written under the `.rejected` name for them. layers: for int8 files. runs_on: target → verdict.
    """

    path: Path
    recipe: Recipe
    metadata: ModelMetadata
    size_bytes: int
    runs_on: Mapping[str, Verdict]
    partitions: int
    evaluation: Evaluation | None = None
    cost: Cost | None = None
    flips: FlipReport | None = None
    layers: LayerReport | None = None
    breaches: tuple[str, ...] = ()
    rejected: bool = False
    coral: CoralFile | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict with the keys of `convert --json`."""
        return {
            "path": str(self.path),
            "precision": self.recipe.name,
            "recipe": self.recipe.to_json(),
            "size_bytes": self.size_bytes,
            "accuracy": self.evaluation.metrics.accuracy if self.evaluation else None,
            "temperature": self.metadata.temperature,
            **(self.cost.to_json() if self.cost else {"drop_pp": None, "agreement": None, "flips": None}),
            "min_runtime": self.metadata.min_runtime,
            "runs_on": {target: verdict.to_json() for target, verdict in self.runs_on.items()},
            "partitions": self.partitions,
            "breaches": list(self.breaches),
            "rejected": self.rejected,
            "edgetpu": self.coral.to_json() if self.coral else None,
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
    def unmet(self) -> tuple[Output, ...]:
        """The rejected files that no repaired file of the same precision stands in for."""
        repaired = {output.recipe.precision for output in self.outputs if not output.rejected}
        return tuple(o for o in self.outputs if o.rejected and o.recipe.precision not in repaired)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, the document of `convert --json`."""
        n = self.reference.metrics.n if self.reference else 0
        missed = bool(self.unmet) or any(output.breaches and not output.rejected for output in self.outputs)
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
                "met": False if missed else None if n == 0 else True,
            },
        }
