"""Stable ids: faces of one frame joined to those of the frames before by the overlap of their boxes.

A library was looked for first: norfair, motpy, supervision's ByteTrack and the OC-SORT ports all bring SciPy (35 MB of
wheel, 110 MB installed on aarch64), most a Kalman filter library besides, for what takes a page here: faces are few,
they seldom cross, and boxes come at camera rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import OptionError
from .faces.detector import Face
from .overlap import overlaps

STALL_S = 10.0  # how long a face of the frame before is remembered when no frame comes


@dataclass
class Track:
    """One followed face: id, latest box (left, top, width, height), when it was last seen, speed in pixels a second."""

    id: int
    box_xywh: tuple[int, int, int, int]
    seen_s: float
    speed_xy: tuple[float, float] = (0.0, 0.0)

    def expected_box(self, time_s: float) -> tuple[float, float, float, float]:
        """Where the box should be at a time, if the face keeps its speed."""
        x, y, w, h = self.box_xywh
        passed = time_s - self.seen_s
        return (x + self.speed_xy[0] * passed, y + self.speed_xy[1] * passed, w, h)

    def move(self, box_xywh: tuple[int, int, int, int], time_s: float) -> None:
        """The face was seen here. In each 1/30 s half of the speed is renewed, so that a trembling box, or frames that
        come in a burst, do not make it run away.
        """
        passed = time_s - self.seen_s
        if passed > 0:
            keep = 0.5 ** (30 * passed)
            (x, y, w, h), (left, top, width, height) = self.box_xywh, box_xywh
            new = ((left + width / 2 - x - w / 2) / passed, (top + height / 2 - y - h / 2) / passed)
            self.speed_xy = (
                keep * self.speed_xy[0] + (1 - keep) * new[0],
                keep * self.speed_xy[1] + (1 - keep) * new[1],
            )
        self.box_xywh, self.seen_s = box_xywh, time_s


class Tracker:
    """Gives each face the id of the track its box overlaps most, or a new one.

    A face is looked for where its speed takes it, then where it was: after a stall frames may come late or be lost.
    min_overlap: intersection over union from which two boxes are one face. max_gap_s: how long a face keeps its id
    that is not in the frames; one that is keeps it through a stall of up to 10 s, and at any frame rate above 0.1.
    """

    def __init__(self, min_overlap: float = 0.2, max_gap_s: float = 1.0) -> None:
        if not 0 < min_overlap <= 1 or max_gap_s < 0:
            raise OptionError(f"tracking needs 0 < overlap ≤ 1 and a gap of at least 0 s: {min_overlap}, {max_gap_s}")
        self._min_overlap = min_overlap
        self._max_gap_s = max_gap_s
        self._tracks: list[Track] = []
        self._next_id = 1
        self._updated_s = 0.0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Faces being followed, also through a gap."""
        return tuple(self._tracks)

    def update(self, faces: Sequence[Face], time_s: float) -> list[int]:
        """The id of each face, in the order given. Tracks unseen for too long are dropped first."""
        self._tracks = [track for track in self._tracks if time_s - track.seen_s <= self._memory_s(track)]
        self._updated_s = time_s
        boxes = np.array([face.box_xywh for face in faces], np.float64).reshape(-1, 4)
        expected = np.array([track.expected_box(time_s) for track in self._tracks], np.float64).reshape(-1, 4)
        seen = np.array([track.box_xywh for track in self._tracks], np.float64).reshape(-1, 4)
        near = overlaps(boxes, expected)
        scores = np.where(near >= self._min_overlap, 1 + near, overlaps(boxes, seen))
        ids = [0] * len(faces)
        for row, column in _best_pairs(scores, self._min_overlap):
            self._tracks[column].move(faces[row].box_xywh, time_s)
            ids[row] = self._tracks[column].id
        for index, face in enumerate(faces):
            if not ids[index]:
                ids[index] = self._next_id
                self._tracks.append(Track(self._next_id, face.box_xywh, time_s))
                self._next_id += 1
        return ids

    def reset(self) -> None:
        """Forget every face; ids go on counting."""
        self._tracks.clear()

    def _memory_s(self, track: Track) -> float:
        return max(STALL_S, self._max_gap_s) if track.seen_s == self._updated_s else self._max_gap_s


def _best_pairs(scores: NDArray[np.float64], lowest: float) -> list[tuple[int, int]]:
    """Pairs (row, column), best score first, each row and column once, none under `lowest`."""
    pairs: list[tuple[int, int]] = []
    if not scores.size:
        return pairs
    left = scores.copy()
    while True:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] < lowest:
            return pairs
        pairs.append((int(row), int(column)))
        left[row, :] = left[:, column] = -1
