"""How a model does when its faces come through a detector: datasets hold ready-made crops, a camera does not.

Each image is enlarged onto a bigger plain canvas, the detector looks for the face there, and its box is cropped as the
camera path would. What that costs against the ready-made crop shows whether detector and crop margin frame faces the
way the model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .console import Progress
from .dataset import Split
from .errors import DatasetError
from .faces import FaceDetector, crop
from .metadata import InputSpec
from .preprocess import Image, Pixels, prepare

ENLARGEMENT = 4
CANVAS = 2  # canvas side in enlarged image sides: the face fills half of the picture


@dataclass(frozen=True, eq=False)
class Framed:
    """The images in which the detector found the face, as it framed them.

    found: the detector's crops. same: the ready-made crops of the same images, to compare with. asked: how many images
    the detector was shown.
    """

    found: Split
    same: Split
    asked: int


def through_detector(
    split: Split,
    spec: InputSpec,
    detector: FaceDetector,
    margin: float,
    progress: Progress | None = None,
) -> Framed:
    """Show every image of a prepared split to a detector. Raises DatasetError when it finds no face at all."""
    crops: list[Pixels] = []
    found = np.zeros(len(split), np.bool_)
    for index, pixels in enumerate(split.images):
        picture = scene(pixels, spec)
        faces = detector.detect(picture)
        if faces:
            found[index] = True
            crops.append(prepare(crop(picture, faces[0], margin), spec))
        if progress:
            progress(index + 1, len(split))
    if not crops:
        raise DatasetError(f"the detector found no face in {len(split)} enlarged images: are they faces?")
    same = split.take(found)
    return Framed(replace(same, images=np.stack(crops)), same, len(split))


def scene(pixels: Pixels, spec: InputSpec) -> Image:
    """An image (H, W, C) enlarged in the middle of a canvas of its mean brightness: uint8 BGR."""
    size = (spec.width * ENLARGEMENT, spec.height * ENLARGEMENT)
    code = cv2.COLOR_GRAY2BGR if spec.colour == "grey" else cv2.COLOR_RGB2BGR
    face = cv2.resize(cv2.cvtColor(pixels, code), size, interpolation=cv2.INTER_LINEAR)
    canvas = np.full((size[1] * CANVAS, size[0] * CANVAS, 3), round(float(pixels.mean())), np.uint8)
    top, left = size[1] * (CANVAS - 1) // 2, size[0] * (CANVAS - 1) // 2
    canvas[top : top + size[1], left : left + size[0]] = face
    return canvas
