"""YuNet (Wu et al. 2023) through OpenCV, from an ONNX file that the user brings."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from ..errors import DeviceError, ModelError
from ..preprocess import AnyImage, as_image, resize
from .detector import Face, FaceDetector

WORKING_SIDE = 320  # pixels: 4–5 ms on a desktop core, where the full 596×336 takes 14–16
SCORE = 0.6
FRAME_SCALE = 0.92
"""Of the box, which is a little wider than the training images frame a face (docs/training.md)."""


class YuNet(FaceDetector):
    """Faces found on the image shrunk until its longer side is at most `working_side` pixels.

    Raises ModelError for a missing or another file, DeviceError when this OpenCV has no FaceDetectorYN.
    """

    def __init__(self, model: Path, working_side: int = WORKING_SIDE, score: float = SCORE) -> None:
        if not model.is_file():
            raise ModelError(f"YuNet model {model} does not exist: give the ONNX file as --detector yunet:PATH")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise DeviceError(f"OpenCV {cv2.__version__} has no FaceDetectorYN: use 4.5.4 or later, or blazeface")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (working_side, working_side), score)
        except cv2.error as error:
            raise ModelError(f"{model} is not a YuNet model that OpenCV {cv2.__version__} can load") from error
        self._working_side = working_side
        self._lock = Lock()

    def detect(self, image: AnyImage) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first, with five keypoints in pixels."""
        image = as_image(image)
        colour = image if image.shape[2:] == (3,) else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        height, width = colour.shape[:2]
        scale = max(1.0, max(height, width) / self._working_side)
        size = (max(1, round(width / scale)), max(1, round(height / scale)))
        small = resize(colour, size)
        try:
            with self._lock:
                self._net.setInputSize(size)
                rows = self._net.detect(small)[1]
        except cv2.error as error:
            raise ModelError(f"the --detector file does not work as YuNet: {error.err or error}") from error
        # OpenCV takes widths through exp, which can overflow.
        finite = rows[np.isfinite(rows).all(axis=1)] if rows is not None else []
        faces = [_face(row, (width / size[0], height / size[1])) for row in finite]
        return sorted(faces, key=lambda face: -face.box_xywh[2] * face.box_xywh[3])

    def close(self) -> None:
        """Nothing to release."""


def _face(row: object, scale_xy: tuple[float, float]) -> Face:
    """A row of 15 numbers: box, right eye, left eye, nose, mouth corners, score."""
    values = [float(v) for v in row]  # type: ignore[attr-defined]
    across, down = scale_xy
    x, y, w, h = values[0] * across, values[1] * down, values[2] * across, values[3] * down
    keypoints = tuple((values[i] * across, values[i + 1] * down) for i in range(4, 14, 2))
    left, top, w, h = x + w * (1 - FRAME_SCALE) / 2, y + h * (1 - FRAME_SCALE) / 2, w * FRAME_SCALE, h * FRAME_SCALE
    return Face((round(left), round(top), max(1, round(w)), max(1, round(h))), min(1.0, values[14]), keypoints)
