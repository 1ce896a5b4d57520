"""CSV: one row a face."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ..preprocess import Image
from ..results import FrameResult
from .output import Output
from .record_file import RecordFile


class Csv(Output):
    """Writes one row a face, with a header in each file; frames without faces leave no row."""

    needs_image = False

    def __init__(self, file: RecordFile) -> None:
        self._file = file

    def write(self, result: FrameResult, image: Image | None) -> None:
        """A row for each face."""
        for face in result.faces:
            x, y, w, h = face.box_xywh
            self.record(
                {
                    "source": result.source,
                    "frame": result.frame,
                    "time_s": result.time_s,
                    "id": face.id,
                    **{"x": x, "y": y, "w": w, "h": h},
                    "label": face.label,
                    "confidence": face.confidence,
                    "state": face.state,
                    "probabilities": face.probabilities,
                }
            )

    def record(self, document: Mapping[str, Any]) -> None:
        """A flat document as a row; a mapping inside it becomes one column a key, named `p_KEY` for probabilities."""
        flat = _flatten(document)
        row = _line(list(flat.values()))
        self._file.make_room(row)
        if self._file.is_new:
            self._file.append(_line(list(flat)))
        self._file.append(row)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            prefix = "p" if key == "probabilities" else key
            flat |= {f"{prefix}_{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
