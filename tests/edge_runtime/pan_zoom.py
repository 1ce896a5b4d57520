"""A video with faces that move, made of photos: pan and zoom, one photo after the other, some side by side.

Run as a script it writes one from your own photos:

    python tests/edge_runtime/pan_zoom.py astronaut.png other.jpg --out faces.avi --seconds 20
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_WH = (596, 336)
FPS = 25.0

Picture = NDArray[np.uint8]


def frames(photos: Sequence[Picture], count: int, size_wh: tuple[int, int] = SIZE_WH) -> Iterator[Picture]:
    """BGR frames. First one photo is seen, then two side by side, …, each for the same time, so faces come and go."""
    scenes = len(photos)
    for index in range(count):
        scene = index * scenes // count
        share = (index * scenes / count) % 1.0
        shown = [photos[(scene + i) % scenes] for i in range(scene + 1)]
        width = size_wh[0] // len(shown)
        strips = [_view(photo, (width, size_wh[1]), share, phase) for phase, photo in enumerate(shown)]
        frame = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
        row = np.concatenate(strips, axis=1)
        frame[:, : row.shape[1]] = row
        yield frame


def write(path: Path, pictures: Iterator[Picture], fps: float = FPS, codec: str = "MJPG") -> int:
    """Write frames to a video file; returns how many."""
    writer: Any = None
    count = 0
    for picture in pictures:
        if writer is None:
            size = (picture.shape[1], picture.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
            if not writer.isOpened():
                raise RuntimeError(f"OpenCV cannot write {path} with {codec}")
        writer.write(picture)
        count += 1
    if writer is not None:
        writer.release()
    return count


def _view(photo: Picture, size_wh: tuple[int, int], share: float, phase: int) -> Picture:
    """The part of a photo seen at `share` (0 to 1) of its scene: it sways and zooms 1.0 to 1.4 and back."""
    height, width = photo.shape[:2]
    angle = 2 * math.pi * (share + phase / 3)
    zoom = 1.2 - 0.2 * math.cos(angle)
    scale = size_wh[1] / height * zoom
    centre = (width * (0.5 + 0.08 * math.sin(angle)), height * (0.45 / zoom + 0.05 * math.sin(2 * angle)))
    matrix = np.array(
        [
            [scale, 0, size_wh[0] / 2 - scale * centre[0]],
            [0, scale, size_wh[1] / 2 - scale * centre[1]],
        ]
    )
    seen = cv2.warpAffine(photo, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def main() -> None:
    """Write a video from photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    photos = [np.asarray(cv2.imread(str(path)), np.uint8) for path in arguments.photos]
    count = write(arguments.out, frames(photos, round(arguments.seconds * FPS)))
    print(f"{arguments.out}: {count} frames of {SIZE_WH[0]}x{SIZE_WH[1]} at {FPS:g} a second")


if __name__ == "__main__":
    main()
