"""By hand: how small a face a detector finds. `python measure_reach.py DATA DETECTOR …`

Validation images are put somewhere into a plain picture of 1280×720, their side a given share of its 1280 pixels. A
face counts as found when a box's centre lies within its middle half; every other box counts as wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.faces import open_detector

SIZE_WH = (1280, 720)
SHARES = (2, 3, 4, 6, 8, 10, 12, 16, 20)
PER_CLASS = 60


def main(data: str, *names: str) -> None:
    """Print the table."""
    split = open_dataset(Path(data)).load("validation").limit(PER_CLASS)
    print(f"found of {len(split)}, %".ljust(16) + "".join(f"{f'1/{share}':>7}" for share in SHARES) + "   wrong boxes")
    for name in names:
        rng = np.random.default_rng(0)
        row, wrong = [], 0
        with open_detector(name) as detector:
            for share in SHARES:
                side, found = SIZE_WH[0] // share, 0
                for pixels in split.images:
                    picture = np.full((SIZE_WH[1], SIZE_WH[0]), 128, np.uint8)
                    left, top = rng.integers(0, SIZE_WH[0] - side + 1), rng.integers(0, SIZE_WH[1] - side + 1)
                    picture[top : top + side, left : left + side] = cv2.resize(
                        pixels, (side, side), interpolation=cv2.INTER_CUBIC
                    )
                    centres = [
                        (x + w / 2 - left, y + h / 2 - top)
                        for x, y, w, h in (face.box_xywh for face in detector.detect(picture))
                    ]
                    hits = [side / 4 < x < 3 * side / 4 and side / 4 < y < 3 * side / 4 for x, y in centres]
                    found += any(hits)
                    wrong += len(hits) - any(hits)
                row.append(100 * found / len(split))
        print(f"{name.partition(':')[0]:16}" + "".join(f"{one:7.1f}" for one in row) + f"   {wrong}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
