"""The speed gate that needs no board: how many instructions an inference may take, absolutely and since last time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..edge_runtime.errors import OptionError
from .files import write_json
from .instructions import EmulatedReport

SCHEMA_VERSION = 1

Counts = Mapping[str, Mapping[str, int]]
"""Board → model with precision, such as `edge-m-int8` → instructions of an `invoke`."""


@dataclass(frozen=True)
class InstructionLimits:
    """What benchmarks/baselines/emulated.json holds.

    ceilings: never to be passed. baseline: what was counted when the file was last changed, not to be passed by more
    than `tolerance`. packages: board → versions the baseline was counted with.
    """

    ceilings: Counts = field(default_factory=dict)
    baseline: Counts = field(default_factory=dict)
    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tolerance: float = 0.02

    @classmethod
    def read(cls, path: Path) -> InstructionLimits:
        """From a file. Raises OptionError when it is missing or not one of these."""
        try:
            document = json.loads(path.read_text())
            if document.pop("schema_version") != SCHEMA_VERSION:
                raise OptionError(f"{path} has another schema: this version reads {SCHEMA_VERSION}")
            return cls(**document)
        except OSError as error:
            raise OptionError(f"cannot read the baseline {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptionError(f"{path} is not a baseline of emulated boards: {error}") from error

    def write(self, path: Path) -> None:
        """To a file, whole."""
        write_json({"schema_version": SCHEMA_VERSION, **asdict(self)}, path)

    def passed(self, report: EmulatedReport) -> list[str]:
        """A sentence for each limit that the report passes, or that could not be told because a model did not run."""
        sentences = []
        for row in report.rows:
            count = row.instructions.get("invoke")
            if count is None:
                sentences.append(f"{row.model} was not counted: {row.error}")
                continue
            what = f"{row.key} takes {count:,} instructions on {report.board}"
            ceiling = self.ceilings.get(report.board, {}).get(row.key)
            if ceiling is not None and count > ceiling:
                sentences.append(f"{what}, over the ceiling of {ceiling:,}")
            before = self.baseline.get(report.board, {}).get(row.key)
            if before is not None and count > before * (1 + self.tolerance):
                sentences.append(
                    f"{what}, {100 * (count / before - 1):+.1f} % against the baseline of {before:,} "
                    f"(allowed {100 * self.tolerance:+.0f} %)"
                )
        return sentences

    def remarks(self, report: EmulatedReport) -> list[str]:
        """What to know beside the limits: rows without any, other packages than the baseline's, a stale baseline."""
        known = {*self.ceilings.get(report.board, {}), *self.baseline.get(report.board, {})}
        counted = [row for row in report.rows if row.error is None]
        remarks = [f"{row.key} has no limit on {report.board}" for row in counted if row.key not in known]
        before = self.packages.get(report.board, {})
        changed = [
            f"{name} {before[name]} → {version}"
            for name, version in report.packages.items()
            if before.get(name, version) != version
        ]
        if changed:
            remarks.append(f"the baseline was counted with other packages: {', '.join(changed)}")
        for row in counted:
            count, old = row.instructions.get("invoke"), self.baseline.get(report.board, {}).get(row.key)
            if count and old and count < old * (1 - self.tolerance):
                remarks.append(f"{row.key} takes {100 * (count / old - 1):+.1f} % against the baseline: update it")
        return remarks

    def updated(self, report: EmulatedReport) -> InstructionLimits:
        """With the report's counts and packages as its board's baseline. Ceilings stay."""
        counted = {row.key: row.instructions["invoke"] for row in report.rows if "invoke" in row.instructions}
        board = {**self.baseline.get(report.board, {}), **counted}
        return replace(
            self,
            baseline={**self.baseline, report.board: dict(sorted(board.items()))},
            packages={**self.packages, report.board: report.packages},
        )
