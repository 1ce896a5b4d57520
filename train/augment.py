"""Augmentation of a whole batch in one OpenCV call.

The images of a batch are stacked into one tall picture and warped by a single `cv2.remap`, whose maps hold each
image's own affine transform. That keeps Python out of the inner loop: see `docs/training.md` for images/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.errors import OptionError
from ..edge_runtime.preprocess import Pixels

NOISE_STD = 24.0
ERASE_LEAST = 0.02  # of the image's area
LIMITS = {
    "rotation": (0.0, 180.0),
    "scale": (0.0, 0.9),  # at 1 a face may shrink to nothing, beyond it is turned through the centre
    "shift": (0.0, 1.0),
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 1.0),  # beyond it some images would be negatives
    "erase": (0.0, 1.0),
    "erase_area": (ERASE_LEAST, 1.0),
    "resample": (0.0, 1.0),
    "noise": (0.0, 1.0),
}
"""Name → the least and the most that `Augmentation` takes."""
_REMAP_ROWS = 32_000  # cv2.remap takes sides below 2**15


@dataclass(frozen=True)
class Augmentation:
    """Random changes, each drawn uniformly within ± its limit for every image.

    rotation in degrees; scale and shift as fractions of the size; brightness as a fraction of 255; contrast as a
    fraction of one. erase: probability that a rectangle is replaced by noise; its area is 2 % to
    erase_area of the image. resample: probability that an image is shrunk to 35 to 80 % of its sides and enlarged
    again, as a face far from the camera is. noise: probability of Gaussian noise, as of a camera in a dim room, with a
    standard deviation of up to NOISE_STD grey levels.
    """

    flip: bool = True
    rotation: float = 15.0
    scale: float = 0.15
    shift: float = 0.12
    brightness: float = 0.2
    contrast: float = 0.2
    erase: float = 0.5
    erase_area: float = 0.25
    resample: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool):
            raise OptionError(f"augmentation.flip must be true or false, got {self.flip!r}")
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and least <= value <= most):
                raise OptionError(f"augmentation.{name} must be from {least:g} to {most:g}, got {value!r}")

    def __call__(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """Augmented copies of uint8 images (N, H, W, C), the same for the same generator state."""
        warped = warp(images, self.sample_affine(images.shape, rng))
        self._resample(warped, rng)
        n = len(images)
        gain = 1 + rng.uniform(-self.contrast, self.contrast, n)
        bias = 255 * rng.uniform(-self.brightness, self.brightness, n) + 127.5 * (1 - gain)
        levels = np.arange(256)
        tables = np.clip(gain[:, None] * levels + bias[:, None] + 0.5, 0, 255).astype(np.uint8)
        result: Pixels = tables[np.arange(n)[:, None], warped.reshape(n, -1)].reshape(warped.shape)
        self._add_noise(result, rng)
        self._erase(result, rng)
        return result

    def sample_affine(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Output-to-input pixel transforms about the centre, float32, (N, 2, 3)."""
        n, height, width = shape[:3]
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation, n))
        scale = 1 / (1 + rng.uniform(-self.scale, self.scale, n))
        mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if self.flip else np.ones(n)
        shift = rng.uniform(-self.shift, self.shift, (n, 2)) * (width, height)
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.stack([np.stack([mirror * cos, -sin], -1), np.stack([mirror * sin, cos], -1)], 1)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        offset = centre - np.einsum("nij,nj->ni", linear, centre + shift)
        return np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32)

    def _resample(self, images: Pixels, rng: np.random.Generator) -> None:
        if not self.resample:
            return
        height, width, channels = images.shape[1:]
        for i in np.flatnonzero(rng.random(len(images)) < self.resample):
            share = rng.uniform(0.35, 0.8)
            small_wh = max(1, round(width * share)), max(1, round(height * share))
            small = cv2.resize(images[i], small_wh, interpolation=cv2.INTER_AREA)
            images[i] = cv2.resize(small, (width, height)).reshape(height, width, channels)

    def _add_noise(self, images: Pixels, rng: np.random.Generator) -> None:
        if not self.noise:
            return
        for i in np.flatnonzero(rng.random(len(images)) < self.noise):
            grain = rng.uniform(0, NOISE_STD) * rng.standard_normal(images[i].shape, np.float32)
            images[i] = np.clip(images[i] + grain + 0.5, 0, 255)

    def _erase(self, images: Pixels, rng: np.random.Generator) -> None:
        height, width = images.shape[1:3]
        for i in np.flatnonzero(rng.random(len(images)) < self.erase):
            area = rng.uniform(ERASE_LEAST, self.erase_area) * height * width
            aspect = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
            h, w = min(height, max(1, round(np.sqrt(area * aspect)))), min(width, max(1, round(np.sqrt(area / aspect))))
            y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
            images[i, y : y + h, x : x + w] = rng.integers(0, 256, (h, w, images.shape[3]), dtype=np.uint8)


def warp(images: Pixels, affine: NDArray[np.float32]) -> Pixels:
    """Warp each image (N, H, W, C) by its own output-to-input transform (N, 2, 3); bilinear, edges replicated."""
    n, height, width, channels = images.shape
    chunk = max(1, _REMAP_ROWS // height)
    if n > chunk:
        return np.concatenate([warp(images[i : i + chunk], affine[i : i + chunk]) for i in range(0, n, chunk)])
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    a = affine[:, :, :, None, None]
    map_x = np.clip(a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2], 0, width - 1)
    map_y = np.clip(a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2], 0, height - 1)
    map_y += np.arange(n, dtype=np.float32)[:, None, None] * height
    warped = cv2.remap(
        images.reshape(n * height, width, channels),
        map_x.reshape(n * height, width),
        map_y.reshape(n * height, width),
        cv2.INTER_LINEAR,
    )
    return np.asarray(warped, np.uint8).reshape(images.shape)
