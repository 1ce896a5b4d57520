"""The report on disk."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.atomic import check_writable, write_atomically
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
        "report.json": json_bytes(report.to_json()),
        "report.md": render_markdown(report).encode(),
        "report.html": render_html(report).encode(),
        "samples.npz": samples.getvalue(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in contents)


def check_outputs(out: Path | None = None, save_baseline: Path | None = None) -> None:
    """Say before the measuring what could not be written after it. Raises EdgeEmotionError."""
    if out is not None:
        check_writable(out)
    if save_baseline is not None:
        check_writable(save_baseline.parent, "--save-baseline")


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write a JSON document, whole or not at all."""
    write_atomically(path, json_bytes(document))


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Indented UTF-8 JSON; NaN never appears."""
    return (json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
