"""The report on disk: report.json and the raw samples."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from ..edge_runtime.metadata import write_atomically
from .report import BenchReport


def write_report(report: BenchReport, folder: Path) -> tuple[Path, ...]:
    """Write the report's files into the folder, each whole or not at all; returns their paths."""
    document = json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n"
    write_atomically(folder / "report.json", document.encode())
    samples = io.BytesIO()
    np.savez_compressed(
        samples,
        **{f"{row.model}/{row.threads}": row.samples_ms for row in report.rows if row.samples_ms is not None},  # type: ignore[arg-type]
    )
    write_atomically(folder / "samples.npz", samples.getvalue())
    return folder / "report.json", folder / "samples.npz"
