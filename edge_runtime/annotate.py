"""Draw what was found onto a copy of the picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2

from .preprocess import Image

COLOUR = (80, 220, 60)  # BGR
INK = (0, 0, 0)


def annotate(image: Image, faces: Sequence[tuple[tuple[int, int, int, int], str]]) -> Image:
    """A BGR copy of the image with each (box_xywh, text) drawn as `in_ascii`; sizes follow the image."""
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    unit = max(1.0, min(canvas.shape[:2]) / 480)
    for (x, y, w, h), caption in faces:
        text = in_ascii(caption)
        cv2.rectangle(canvas, (x, y), (x + w, y + h), COLOUR, round(2 * unit))
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6 * unit, round(unit))
        top = max(0, y - height - base)
        left = max(0, min(x, canvas.shape[1] - width))
        cv2.rectangle(canvas, (left, top), (left + width, top + height + base), COLOUR, cv2.FILLED)
        cv2.putText(
            canvas, text, (left, top + height), cv2.FONT_HERSHEY_SIMPLEX, 0.6 * unit, INK, round(unit), cv2.LINE_AA
        )
    return canvas  # type: ignore[return-value]


def in_ascii(text: str) -> str:
    """The text as OpenCV's font can show it: without accents, and * for each other character that is not ASCII."""
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c.isascii() else "*" for c in bare)
