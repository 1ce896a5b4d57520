"""The report on disk."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from ..edge_runtime.metadata import write_atomically
from .html import render_html
from .report import BenchReport
from .tables import render_markdown


def write_report(report: BenchReport, folder: Path) -> tuple[Path, ...]:
    """Write report.json, report.md, report.html and samples.npz (every timed inference, milliseconds) into the folder.

    Each is written whole or not at all. Returns their paths.
    """
    samples = io.BytesIO()
    arrays = {f"{row.model} {row.threads}": row.samples_ms for row in report.rows if row.samples_ms is not None}
    np.savez_compressed(samples, **arrays)  # type: ignore[arg-type]
    contents = {
        "report.json": (json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n").encode(),
        "report.md": render_markdown(report).encode(),
        "report.html": render_html(report).encode(),
        "samples.npz": samples.getvalue(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in contents)
