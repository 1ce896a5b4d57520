"""Stand-ins at the seams of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edge_emotion.edge_runtime.cameras import Camera, Frame
from edge_emotion.edge_runtime.faces import Face, FaceDetector
from edge_emotion.edge_runtime.outputs import Output
from edge_emotion.edge_runtime.preprocess import Image
from edge_emotion.edge_runtime.results import FrameResult, TrackedFace


class FakeCamera(Camera):
    """Gives the frames it was made with."""

    def __init__(self, frames: Sequence[Frame], *, live: bool = False, fps: float = 25.0) -> None:
        self.source = "fake"
        self.live = live
        self.fps = fps
        self.stopped = self.closed = 0
        self._frames = list(frames)

    def read(self) -> Frame | None:
        return self._frames.pop(0) if self._frames else None

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None:
        self.closed += 1


class FakeDetector(FaceDetector):
    """Finds a list of faces on each frame, the last list for ever; counts how often it was asked."""

    def __init__(self, *faces: Sequence[Face]) -> None:
        self._faces = list(faces)
        self.asked = 0
        self.closed = 0

    def detect(self, image: Image) -> list[Face]:
        self.asked += 1
        return list(self._faces.pop(0) if len(self._faces) > 1 else self._faces[0])

    def close(self) -> None:
        self.closed += 1


class Kept(Output):
    """Keeps what is written to it."""

    def __init__(self, *, needs_image: bool = False) -> None:
        self.needs_image = needs_image
        self.results: list[FrameResult] = []
        self.images: list[Image | None] = []
        self.closed = 0

    def write(self, result: FrameResult, image: Image | None) -> None:
        self.results.append(result)
        self.images.append(image)

    def close(self) -> None:
        self.closed += 1


def grey_frames(levels: Sequence[int], fps: float = 25.0, size: int = 96) -> list[Frame]:
    """Plain frames of the given grey levels."""
    return [Frame(np.full((size, size, 3), level, np.uint8), i, i / fps) for i, level in enumerate(levels)]


def face(id: int = 1, label: str = "happy", p: float = 0.75, raw: str = "") -> TrackedFace:
    """A tracked face with probabilities over happy, sad, neutral."""
    rest = (1 - p) / 2
    probabilities = {name: p if name == label else rest for name in ("happy", "neutral", "sad")}
    return TrackedFace(id, (10, 20, 30, 40), label, p, "steady", probabilities, raw or label)


def result(frame: int = 0, *faces: TrackedFace, time_s: float | None = None) -> FrameResult:
    """A result with plausible times."""
    stages = {"capture": 1.0, "detect": 2.0, "preprocess": 0.1, "classify": 0.5, "track": 0.2, "total": 3.8}
    return FrameResult("fake", frame, frame / 25 if time_s is None else time_s, faces, stages)
