"""BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047) on the same TFLite runtime as the classifier.

The network answers for each of its anchors with a score, a box and six keypoints. What is decoded here follows the
paper and the published description of MediaPipe's face detection, short range and full range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..interpreter import open_runtime
from ..overlap import overlaps
from ..preprocess import AnyImage, Image, as_image, resize, to_colour
from .detector import Face, FaceDetector

KEYPOINTS = 6  # right eye, left eye, nose tip, mouth centre, right ear, left ear
SCORE = 0.5
OVERLAP = 0.3
LOGIT_LIMIT = 100.0
FRAME_SCALE = 1.05
FRAME_RISE = 0.08
"""The box goes from brow to chin, the training images from hair to chin: their side is 1.16 boxes, their centre 0.08
boxes higher (medians over the 968 of 1,000 FER2013 training images, padded, in which a face is found). A little tighter
the classifier sees less of what is around the face, and is right more often (docs/training.md)."""


@dataclass(frozen=True)
class Geometry:
    """What a network looks at, `side` × `side` pixels, and its anchors: grids of (cells a side, anchors a cell)."""

    side: int
    grids: tuple[tuple[int, int], ...]


SHORT_RANGE = Geometry(128, ((16, 2), (8, 6)))
FULL_RANGE = Geometry(192, ((48, 1),))


class BlazeFace(FaceDetector):
    """Near faces (short range), or faces half as large too (full range), also turned ones: the file tells which.

    Raises ModelError when the file is neither network.
    """

    def __init__(self, model: Path, *, backend: str = "auto", threads: int = 1, score: float = SCORE) -> None:
        try:
            content = model.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {model}: {error.strerror or error}") from error
        _, self._runtime = open_runtime(content, backend, threads)
        inputs, outputs = self._runtime.get_input_details(), self._runtime.get_output_details()
        shapes = {tuple(int(v) for v in o["shape"]): o["index"] for o in outputs}
        for geometry in (SHORT_RANGE, FULL_RANGE):
            count = len(anchors(geometry))
            if {(1, count, 4 + 2 * KEYPOINTS), (1, count, 1)} <= shapes.keys():
                break
        else:
            raise ModelError(f"{model} is not BlazeFace: its outputs are {sorted(shapes)}")
        self._boxes, self._scores = shapes[(1, count, 4 + 2 * KEYPOINTS)], shapes[(1, count, 1)]
        self._side, self._anchors = geometry.side, anchors(geometry)
        self._lock = Lock()
        self._input = inputs[0]["index"]
        self._staging = np.full((1, self._side, self._side, 3), -1, np.float32)
        self._table = (np.arange(256) / 127.5 - 1).astype(np.float32)
        self._logit = float(np.log(score / (1 - score)))

    def detect(self, image: AnyImage) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first, each with six keypoints in pixels.

        Raises ImageError for what is no such image, ModelError after `close`.
        """
        image = as_image(image)
        with self._lock:
            if self._runtime is None:
                raise ModelError("the face detector is closed: open another")
            scale, offset_xy = self._load(image)
            self._runtime.set_tensor(self._input, self._staging)
            self._runtime.invoke()
            logits = self._runtime.get_tensor(self._scores)[0, :, 0]
            boxes = self._runtime.get_tensor(self._boxes)[0]
        found = np.flatnonzero(logits >= self._logit)
        if not found.size:
            return []
        scores = 1 / (1 + np.exp(-np.clip(logits[found], -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float64)))
        merged = merge(decode(boxes[found], self._anchors[found], self._side), scores, OVERLAP)
        faces = [_face(points * scale - offset_xy, score) for points, score in merged]
        return sorted(faces, key=lambda face: -face.box_xywh[2] * face.box_xywh[3])

    def close(self) -> None:
        """Release the runtime's memory, after the call that another thread is in."""
        with self._lock:
            self._runtime = None

    def _load(self, image: Image) -> tuple[float, NDArray[np.float64]]:
        """Letterbox the image into the input; returns the pixels that 1.0 of the input spans, and the offset."""
        height, width = image.shape[:2]
        longer = max(height, width)
        size = (max(1, round(width * self._side / longer)), max(1, round(height * self._side / longer)))
        small = to_colour(resize(image, size), "rgb")
        left, top = (self._side - size[0]) // 2, (self._side - size[1]) // 2
        self._staging.fill(-1)
        self._staging[0, top : top + size[1], left : left + size[0]] = cv2.LUT(small, self._table)
        return float(longer), np.array([left, top], np.float64) * (longer / self._side)


@cache
def anchors(geometry: Geometry) -> NDArray[np.float64]:
    """Anchor centres (x, y) from 0 to 1, shape (N, 2): rows of cells from the top left, all of one cell together.

    N is 16²·2 + 8²·6 = 896 for the short range, 48² = 2304 for the full one.
    """
    parts = []
    for cells, copies in geometry.grids:
        centres = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), copies, axis=0))
    return np.concatenate(parts)


def decode(raw: NDArray[np.float32], centres: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Network outputs (N, 16), in pixels of its input, as points of the unit square, (N, 8, 2).

    The points are left top, right bottom, six keypoints.
    """
    values = raw.astype(np.float64).reshape(-1, 2 + KEYPOINTS, 2) / side
    centre, size = values[:, 0] + centres, values[:, 1]
    keypoints = values[:, 2:] + centres[:, None]
    return np.concatenate([(centre - size / 2)[:, None], (centre + size / 2)[:, None], keypoints], axis=1)


def merge(
    points: NDArray[np.float64], scores: NDArray[np.float64], overlap: float
) -> list[tuple[NDArray[np.float64], float]]:
    """Non-maximum suppression that averages: the best detection takes the score-weighted mean of all it overlaps.

    points: (N, 8, 2) as from `decode`. Returns (points (8, 2), best score) of each face, best first.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = np.concatenate([points[:, 0], points[:, 1] - points[:, 0]], axis=1)
    shared = overlaps(boxes, boxes)
    left = np.ones(len(scores), bool)
    faces = []
    for best in order:
        if not left[best]:
            continue
        same = left & (shared[best] > overlap)
        same[best] = True
        left &= ~same
        faces.append((np.average(points[same], axis=0, weights=scores[same]), float(scores[best])))
    return faces


def _face(points: NDArray[np.float64], score: float) -> Face:
    """A face from points in pixels of the image, its box widened to the framing of the training images."""
    (left, top), (right, bottom) = points[0], points[1]
    side = max(right - left, bottom - top)
    side, x, y = side * FRAME_SCALE, (left + right) / 2, (top + bottom) / 2 - side * FRAME_RISE
    box = (round(x - side / 2), round(y - side / 2), max(1, round(side)), max(1, round(side)))
    return Face(box, score, tuple((float(px), float(py)) for px, py in points[2:]))
