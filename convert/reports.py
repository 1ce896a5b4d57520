"""The conversion's reports on disk: everything as JSON, the flips as a contact sheet, the layers as a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..edge_runtime.atomic import write_atomically
from .conversion import Conversion, Output
from .flips import contact_sheet
from .layers import plot


def write_reports(conversion: Conversion, folder: Path) -> tuple[Path, ...]:
    """Write `conversion.json`, and for each file `<precision>-flips.json/.png` and `<precision>-layers.json/.png`.

    The precisions' reports of an earlier conversion are replaced. Returns the paths.
    """
    written = [_json(folder / "conversion.json", conversion.to_json())]
    for output in conversion.outputs:
        written += _flips(output, folder)
        written += _layers(output, folder, conversion.metadata.name)
    return tuple(written)


def _flips(output: Output, folder: Path) -> list[Path]:
    sheet = folder / f"{output.recipe.name}-flips.png"
    sheet.unlink(missing_ok=True)
    if output.flips is None or output.evaluation is None:
        return []
    written = [_json(folder / f"{output.recipe.name}-flips.json", output.flips.to_json())]
    if output.flips.flips:
        write_atomically(sheet, contact_sheet(output.flips, output.evaluation.split.images))
        written.append(sheet)
    return written


def _layers(output: Output, folder: Path, name: str) -> list[Path]:
    if output.layers is None:
        return []
    picture = folder / f"{output.recipe.name}-layers.png"
    title = f"{name}, {output.recipe.name}: error of each layer against float32"
    write_atomically(picture, plot(output.layers, title))
    return [_json(folder / f"{output.recipe.name}-layers.json", output.layers.to_json()), picture]


def _json(path: Path, document: dict[str, Any]) -> Path:
    write_atomically(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    return path
