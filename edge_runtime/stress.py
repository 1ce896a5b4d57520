"""Named degradations of a picture, each at three strengths: what bad light, a cheap lens or a far face cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from .dataset import Split
from .preprocess import Pixels

STRENGTHS: dict[str, tuple[float, float, float]] = {
    "blur": (0.7, 1.2, 2.0),  # standard deviation of a Gaussian, as a share of 48ths of the side
    "darkness": (0.6, 0.35, 0.2),  # what is left of the brightness
    "noise": (8.0, 16.0, 32.0),  # standard deviation of added noise, in grey levels
    "small": (0.67, 0.5, 0.33),  # side of the face before it is enlarged again, as a fraction
    "rotation": (10.0, 20.0, 35.0),  # degrees in the plane of the picture
    "occlusion": (0.1, 0.2, 0.35),  # fraction of the area under a grey square at a random place
}
"""Degradation → its parameter at weak, medium and strong."""


def degrade(split: Split, kind: str, strength: float, seed: int = 0) -> Split:
    """The split with every image degraded; the same seed gives the same images. Labels and files stay."""
    rng = np.random.default_rng(seed)
    change = _CHANGES[kind]
    images = [change(image, strength, rng) for image in split.images]
    return replace(split, images=np.stack(images).reshape(split.images.shape) if images else split.images)


def _blur(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * image.shape[0] / 48), np.uint8)


def _darken(image: Pixels, left: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(np.rint(image * left), np.uint8)


def _noise(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    noisy = np.rint(image + rng.normal(0, sigma, image.shape))
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _shrink(image: Pixels, fraction: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * fraction)), max(1, round(height * fraction))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _rotate(image: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    angle = degrees if rng.random() < 0.5 else -degrees
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _occlude(image: Pixels, area: float, rng: np.random.Generator) -> Pixels:
    covered = image.copy()
    height, width = image.shape[:2]
    h, w = round(height * area**0.5), round(width * area**0.5)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    covered[top : top + h, left : left + w] = 128
    return covered


_CHANGES: dict[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "blur": _blur,
    "darkness": _darken,
    "noise": _noise,
    "small": _shrink,
    "rotation": _rotate,
    "occlusion": _occlude,
}
