"""By hand: which framing of a detector's faces a model likes. `python measure_framing.py DATA DETECTOR [MODEL …]`

Each validation image is enlarged into the middle of a larger picture, with three kinds of surroundings: plain, its
edges drawn out, and its mirror images. The detector's box is made smaller and larger, and last left unturned. Every
number is the accuracy on the images in which a face was found near the middle.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.evaluate import evaluate, load_split_for
from edge_emotion.edge_runtime.faces import Face, crop, open_detector
from edge_emotion.edge_runtime.framing import scene
from edge_emotion.edge_runtime.preprocess import Pixels, prepare

SCALES = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
SURROUNDINGS = {"plain": None, "edges": cv2.BORDER_REPLICATE, "mirrored": cv2.BORDER_REFLECT_101}


def scaled(face: Face, scale: float) -> Face:
    """The face with a square box around the same centre."""
    x, y, w, h = face.box_xywh
    side = max(w, h) * scale
    return replace(
        face, box_xywh=(round(x + (w - side) / 2), round(y + (h - side) / 2), max(1, round(side)), max(1, round(side)))
    )


def main(data: str, detector_name: str, *models: str) -> None:
    """Print the table."""
    classifiers = [EmotionClassifier(model) for model in models or ("edge-m", "edge-s")]
    metadata = classifiers[0].metadata
    split = load_split_for(classifiers[0], open_dataset(Path(data)), "validation", None)
    detector = open_detector(detector_name)
    print("surroundings  found  ready-made  " + "  ".join(f"×{scale:<12g}" for scale in SCALES) + "  unturned")
    for name, border in SURROUNDINGS.items():
        found = np.zeros(len(split), np.bool_)
        crops: dict[float, list[Pixels]] = {scale: [] for scale in (*SCALES, 0.0)}  # 0: unturned
        for index, pixels in enumerate(split.images):
            picture = scene(pixels, metadata.input)
            high, wide = picture.shape[:2]
            if border is not None:
                inner = picture[high // 4 : high - high // 4, wide // 4 : wide - wide // 4]
                picture = np.asarray(
                    cv2.copyMakeBorder(inner, high // 4, high // 4, wide // 4, wide // 4, border), np.uint8
                )
            near = [
                face
                for face in detector.detect(picture)
                if abs(face.box_xywh[0] + face.box_xywh[2] / 2 - wide / 2) < wide / 4
                and abs(face.box_xywh[1] + face.box_xywh[3] / 2 - high / 2) < high / 4
            ]
            if near:
                found[index] = True
                for scale, kept in crops.items():
                    face = scaled(near[0], scale) if scale else replace(near[0], keypoints=())
                    kept.append(prepare(crop(picture, face, metadata.crop_margin), metadata.input))
        same = split.take(found)
        columns = [same, *(replace(same, images=np.stack(kept)) for kept in crops.values())]
        accuracies = [[100 * evaluate(one, images).metrics.accuracy for one in classifiers] for images in columns]
        print(f"{name:12}  {len(same):5}  " + "  ".join(" ".join(f"{a:5.2f} %" for a in row) for row in accuracies))


if __name__ == "__main__":
    main(*sys.argv[1:])
