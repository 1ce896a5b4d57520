"""From a face to the pixels that are classified."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..preprocess import AnyImage, Image, as_image, crop_face, halve
from .detector import Face

UPRIGHT_DEG = 10.0
"""A face that leans less is left as it is, one that leans more is turned upright by its eyes: what that brings is
measured in docs/training.md."""
ENOUGH_SIDE = 136  # pixels: a face of 96 and its corners, twice what the models look at


def crop(image: AnyImage, face: Face, margin: float) -> Image:
    """The square around the face, widened by `margin` of its longer side on each side, turned upright.

    A face that is the whole image stays as it is: there is nothing around it. Edges are replicated.
    Raises ImageError for what is no uint8 image.
    """
    image = as_image(image)
    if face.box_xywh == (0, 0, image.shape[1], image.shape[0]):
        return image
    if abs(face.roll_deg) <= UPRIGHT_DEG:
        return crop_face(image, face.box_xywh, margin)
    return _upright(image, face, margin)


def _upright(image: Image, face: Face, margin: float) -> Image:
    """Cut out with room for the corners, make a large face smaller (turning costs by the pixel), turn, cut to size."""
    room = (math.sqrt(2) - 1) / 2 * (1 + 2 * margin)
    around = crop_face(image, face.box_xywh, margin + room)
    while around.shape[0] >= 2 * ENOUGH_SIDE:
        around = halve(around)
    outer = around.shape[0]
    side = max(1, round(outer / math.sqrt(2)))
    matrix = cv2.getRotationMatrix2D((outer / 2, outer / 2), face.roll_deg, 1.0)
    matrix[:, 2] -= (outer - side) / 2
    turned = cv2.warpAffine(around, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)
