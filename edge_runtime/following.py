"""Faces moved along with the picture on the frames between two detections.

Median flow (Kalal, Mikolajczyk, Matas 2010): a grid of points inside the box is traced by sparse optical flow to the
next frame, and back; points that do not come back to where they began are left out, as what they showed is covered or
gone. The box moves by the median shift and grows by the median change of distance between the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .faces.detector import Face
from .preprocess import Image, resize, to_colour

WORKING_SIDE = 320  # pixels of the longer side: flow needs no more, and costs in proportion
GRID = 5  # points a side of the box
WINDOW = (15, 15)
LEVELS = 2
RETURN = 1.0  # reduced pixels from its beginning to which a point must come back
ENOUGH = GRID * GRID // 2  # points that must be found again, else the face is lost


class Follower:
    """Remembers one frame and its faces; `follow` says where they are in the next."""

    def __init__(self) -> None:
        self._before: Image = np.empty((0, 0), np.uint8)
        self._faces: list[_Followed] = []

    def see(self, image: Image, faces: Sequence[Face]) -> None:
        """Begin anew with the faces found in a frame, which is kept, not copied: it must not change."""
        self._before = image  # reduced by `follow`, so that it costs nothing where each frame is searched
        self._faces = [_Followed(face, face.box_xywh) for face in faces]

    def follow(self, image: Image) -> list[Face]:
        """The faces moved from the frame before to this one, which is remembered in turn; lost ones are left out."""
        if not self._faces:
            return []
        before, _ = _reduced(self._before)  # which leaves as it is what was reduced before
        after, scale = _reduced(image)
        same_size = before.shape == after.shape
        moved = [_moved(face, before, after, scale) for face in self._faces] if same_size else []
        self._before, self._faces = after, [face for face in moved if face is not None]
        return [followed.face for followed in self._faces]


@dataclass(frozen=True)
class _Followed:
    """A face, and its box before rounding: from frame to frame whole pixels would lose slow motion, or double it."""

    face: Face
    box_xywh: tuple[float, float, float, float]


def _moved(followed: _Followed, before: Image, after: Image, scale: float) -> _Followed | None:
    """The face where the flow takes it between two reduced images, or None when it is lost."""
    points = _grid(followed.box_xywh, scale)
    there, found = _traced(before, after, points)
    back, found_back = _traced(after, before, there)
    ok = found & found_back & (np.linalg.norm(back - points, axis=1) < RETURN)
    if np.count_nonzero(ok) < ENOUGH:
        return None
    old, new = points[ok], there[ok]
    shift = np.median(new - old, axis=0) * scale
    return _shifted(followed, (float(shift[0]), float(shift[1])), _growth(old, new))


def _traced(before: Image, after: Image, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (N, 2) of one image are in another, and which of them were found (N,)."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points.reshape(-1, 1, 2),
        None,  # type: ignore[call-overload]
        winSize=WINDOW,
        maxLevel=LEVELS,
    )
    return np.asarray(there.reshape(-1, 2), np.float32), found.ravel() == 1


def _reduced(image: Image) -> tuple[Image, float]:
    """The image in grey, its longer side at most WORKING_SIDE, and how many of its pixels one of the result spans."""
    height, width = image.shape[:2]
    scale = max(1.0, max(height, width) / WORKING_SIDE)
    grey = to_colour(image, "grey")
    return resize(grey, (max(1, round(width / scale)), max(1, round(height / scale)))), scale


def _grid(box_xywh: tuple[float, float, float, float], scale: float) -> NDArray[np.float32]:
    """GRID × GRID points inside the middle 80 % of the box, in reduced pixels, (N, 2)."""
    x, y, w, h = box_xywh
    shares = np.linspace(0.1, 0.9, GRID)
    xs, ys = np.meshgrid(x + w * shares, y + h * shares)
    return (np.stack([xs.ravel(), ys.ravel()], axis=1) / scale).astype(np.float32)


def _growth(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    """Median ratio of the distances between all pairs of points, held within 0.8 to 1.25 a frame."""
    first, second = np.triu_indices(len(old), 1)
    before = np.linalg.norm(old[first] - old[second], axis=1)
    after = np.linalg.norm(new[first] - new[second], axis=1)
    return float(np.clip(np.median(after / before), 0.8, 1.25))


def _shifted(followed: _Followed, shift_xy: tuple[float, float], growth: float) -> _Followed:
    x, y, w, h = followed.box_xywh
    centre_x, centre_y = x + w / 2, y + h / 2
    side_w, side_h = max(1.0, w * growth), max(1.0, h * growth)
    left, top = centre_x + shift_xy[0] - side_w / 2, centre_y + shift_xy[1] - side_h / 2
    keypoints = tuple(
        (centre_x + (px - centre_x) * growth + shift_xy[0], centre_y + (py - centre_y) * growth + shift_xy[1])
        for px, py in followed.face.keypoints
    )
    whole = (round(left), round(top), round(side_w), round(side_h))
    return _Followed(replace(followed.face, box_xywh=whole, keypoints=keypoints), (left, top, side_w, side_h))
