"""JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..preprocess import Image
from ..results import FrameResult
from .output import Output
from .record_file import RecordFile


class JsonLines(Output):
    """Writes `FrameResult.to_json`, one line a frame."""

    needs_image = False

    def __init__(self, file: RecordFile) -> None:
        self._file = file

    def write(self, result: FrameResult, image: Image | None) -> None:
        """One line."""
        self.record(result.to_json())

    def record(self, document: Mapping[str, Any]) -> None:
        """Any JSON document as a line."""
        self._file.append(json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
