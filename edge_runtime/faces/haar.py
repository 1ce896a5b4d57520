"""Haar cascade detector (Viola & Jones 2001), the one that OpenCV 4 ships."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from ..errors import DeviceError
from ..preprocess import AnyImage, as_image, resize, to_colour
from .detector import Face, FaceDetector

CASCADE = "haarcascade_frontalface_default.xml"
DEBIAN_CASCADES = Path("/usr/share/opencv4/haarcascades")  # package opencv-data
WORKING_SIDE = 320  # pixels: cost falls with the square of the size, faces down to 1/8 of the picture are found


class HaarDetector(FaceDetector):
    """Frontal faces, found on the image shrunk until its longer side is at most `working_side` pixels."""

    stride = 3

    def __init__(self, working_side: int = WORKING_SIDE, min_neighbours: int = 5) -> None:
        self._working_side = working_side
        self._min_neighbours = min_neighbours
        self._lock = Lock()
        self._cascade = cv2.CascadeClassifier(str(_find_cascade()))
        if self._cascade.empty():
            raise DeviceError(f"OpenCV cannot load {CASCADE}: reinstall opencv-python-headless (4.x)")

    def detect(self, image: AnyImage) -> list[Face]:
        """Faces of a uint8 image, (H, W) grey or (H, W, 3) BGR, largest first. The score is always 1."""
        grey = to_colour(as_image(image), "grey")
        factor = max(1.0, max(grey.shape) / self._working_side)
        if factor > 1:
            grey = resize(grey, (max(1, round(grey.shape[1] / factor)), max(1, round(grey.shape[0] / factor))))
        smallest = max(24, min(grey.shape) // 10)
        with self._lock:
            boxes = self._cascade.detectMultiScale(
                cv2.equalizeHist(grey), 1.1, self._min_neighbours, minSize=(smallest, smallest)
            )
        faces = [Face(tuple(round(int(v) * factor) for v in box)) for box in np.asarray(boxes).reshape(-1, 4)]
        return sorted(faces, key=lambda face: -face.box_xywh[2] * face.box_xywh[3])

    def close(self) -> None:
        """Nothing to release."""


def _find_cascade() -> Path:
    folders = [DEBIAN_CASCADES]
    bundled = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if bundled:
        folders.insert(0, Path(bundled))
    for folder in folders:
        if (folder / CASCADE).exists():
            return folder / CASCADE
    raise DeviceError(f"{CASCADE} is not found: install OpenCV 4 from PyPI, or Debian's opencv-data")
