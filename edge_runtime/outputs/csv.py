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

FACE = ("source", "frame", "time_s", "time", "id", "x", "y", "w", "h", "label", "confidence", "state")
"""Columns of a face, before its probabilities; `time` is empty for files."""


def header(columns: Sequence[str], labels: Sequence[str]) -> str:
    """The first line: columns, then one for each label's probability.

    >>> header(("frames", "mean_faces"), ("happy", "sad"))
    'frames,mean_faces,p_happy,p_sad\\n'
    """
    return _line([*columns, *(f"p_{label}" for label in labels)])


class Csv(Output):
    """Writes one row a face, into a file that begins with `header` of the same; frames without faces leave no row."""

    needs_image = False

    def __init__(self, file: RecordFile, columns: Sequence[str], labels: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self._labels = labels

    def write(self, result: FrameResult, image: Image | None) -> None:
        """A row for each face."""
        frame = result.to_json()
        for face in frame["faces"]:
            self.record({**frame, **face, **dict(zip("xywh", face["box_xywh"], strict=True))})

    def record(self, document: Mapping[str, Any]) -> None:
        """A flat document as a row, its `probabilities` last: empty where it has no value."""
        probabilities = document["probabilities"]
        values = (document.get(column) for column in self._columns)
        self._file.append(_line([*values, *(probabilities.get(label) for label in self._labels)]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
