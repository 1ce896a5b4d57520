"""Drawn 48×48 grey faces with the seven expressions: a labelled dataset from nothing, for the demo and the tests.

A face is a handful of numbers (`Features`: how far the brows are raised, how open the mouth is, …). Each expression is
one point in that space, after the muscles that make it (Ekman & Friesen's action units, named beside each); an image
blends it with the neutral face by a random intensity and adds jitter to every number, so that weak expressions overlap
and even a perfect classifier errs. Head, hair, skin, glasses, pose, light, blur, noise and occlusion vary independently
of the label. Shapes are drawn four times too large and reduced by 2×2 means.

Every image depends on (seed, split, class, index) alone. Needs numpy and OpenCV only. A network that tells these
drawings apart knows nothing of real faces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.console import Progress
from ..edge_runtime.labels import EMOTIONS
from ..edge_runtime.preprocess import Image, halve

SIZE = 48
SUPERSAMPLING = 4
INTENSITY = (0.4, 1.0)
"""How much of an expression is shown, uniformly: 0 would be neutral."""
JITTER = 0.12
"""Standard deviation added to every feature."""

_SHIFT = 4  # OpenCV draws at 1/16 pixel
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Features:
    """The mobile part of a face; 0 is at rest, ±1 about as far as it goes.

    brow_raise: up. brow_slant: inner ends up (sad) or down (angry). eye_open: wide or narrowed. mouth_curve: corners up
    or down. mouth_open: jaw dropped. mouth_width: stretched or pursed. nose_wrinkle: folds beside the nose.
    lip_raise: upper lip drawn up. cheek_raise: fold under the eyes.
    """

    brow_raise: float = 0.0
    brow_slant: float = 0.0
    eye_open: float = 0.0
    mouth_curve: float = 0.0
    mouth_open: float = 0.0
    mouth_width: float = 0.0
    nose_wrinkle: float = 0.0
    lip_raise: float = 0.0
    cheek_raise: float = 0.0


EXPRESSIONS: dict[str, Features] = {
    # brow lowerer, lid tightener, lip tightener (AU 4, 7, 23)
    "angry": Features(brow_raise=-0.7, brow_slant=-1.0, eye_open=-0.2, mouth_curve=-0.4, mouth_width=-0.3),
    # nose wrinkler, upper lip raiser (AU 9, 10)
    "disgust": Features(brow_raise=-0.4, brow_slant=-0.4, eye_open=-0.6, mouth_curve=-0.4, nose_wrinkle=1, lip_raise=1),
    # inner and outer brow raiser, lid raiser, lip stretcher (AU 1, 2, 4, 5, 20)
    "fear": Features(brow_raise=0.5, brow_slant=0.7, eye_open=0.8, mouth_curve=-0.4, mouth_open=0.4, mouth_width=0.7),
    # cheek raiser, lip corner puller (AU 6, 12)
    "happy": Features(eye_open=-0.3, mouth_curve=1.0, mouth_open=0.25, mouth_width=0.5, cheek_raise=0.8),
    "neutral": Features(),
    # inner brow raiser, lip corner depressor (AU 1, 4, 15)
    "sad": Features(brow_slant=0.9, eye_open=-0.35, mouth_curve=-0.9, mouth_width=-0.2),
    # brow raiser, lid raiser, jaw drop (AU 1, 2, 5, 26)
    "surprise": Features(brow_raise=1.0, eye_open=0.9, mouth_open=1.0, mouth_width=-0.4),
}


def write_dataset(
    folder: Path,
    per_class: int,
    validation_per_class: int | None = None,
    seed: int = 0,
    classes: Sequence[str] = EMOTIONS,
    progress: Progress | None = None,
) -> Path:
    """Write `folder/{train,validation}/<class>/00000.png` and return the folder.

    validation_per_class: a quarter of `per_class` when None. The first n images of a class are the same whatever their
    number.
    """
    counts = {"train": per_class, "validation": max(1, per_class // 4)}
    if validation_per_class is not None:
        counts["validation"] = validation_per_class
    total, done = len(classes) * sum(counts.values()), 0
    for split, count in counts.items():
        for label in classes:
            for index in range(count):
                _, png = cv2.imencode(".png", draw_sample(label, index, seed, split))
                write_atomically(folder / split / label / f"{index:05}.png", png.tobytes())
                done += 1
                if progress:
                    progress(done, total)
    return folder


def draw_sample(expression: str, index: int, seed: int = 0, split: str = "train") -> Image:
    """One image of the dataset, uint8 (48, 48)."""
    key = [seed, _SPLITS.index(split), EMOTIONS.index(expression), index]
    return draw(expression, np.random.default_rng(key))


def draw(expression: str, rng: np.random.Generator) -> Image:
    """A face with that expression, all else random: uint8 (48, 48)."""
    intensity = rng.uniform(*INTENSITY)
    target = dataclasses.astuple(EXPRESSIONS[expression])
    features = Features(*(intensity * value + rng.normal(0, JITTER) for value in target))
    canvas = _Sketch(rng).face(features)
    while canvas.shape[0] > SIZE:
        canvas = halve(canvas)
    return _photograph(canvas, rng)


class _Sketch:
    """A person, a pose and a canvas. Points are (x right, y down) about the head's centre, in half head heights."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.side = SIZE * SUPERSAMPLING
        uniform = rng.uniform
        self.scale = self.side * uniform(0.40, 0.50)
        self.centre = self.side * (0.5 + uniform(-0.06, 0.06, 2))
        roll = np.deg2rad(rng.normal(0, 7))
        self.rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        self.yaw, self.pitch = uniform(-0.16, 0.16), uniform(-0.10, 0.10)
        self.width = uniform(0.68, 0.84)
        self.skin = uniform(110, 225)
        self.ink = self.skin * uniform(0.15, 0.45)
        self.hair = uniform(10, 150)
        background = uniform(10, 245, 2)
        ramp = np.linspace(background[0], background[1], self.side)[:, None]
        self.canvas = np.ascontiguousarray(np.broadcast_to(ramp, (self.side, self.side)).astype(np.uint8))

    def face(self, f: Features) -> Image:
        """Draw everything and return the canvas."""
        uniform, skin = self.rng.uniform, self.skin
        self.ellipse((0, 1.05), (0.38, 0.5), 0.85 * skin)  # neck
        self.ellipse((0, -0.12), (self.width * 1.08, 1.02), self.hair)
        self.ellipse((0, 0.08), (self.width, 0.95), skin)
        hairline = uniform(-0.75, -0.5)
        self.fill(_arc((0, -0.42), (self.width, hairline * -0.85), 180, 360), self.hair)
        feature_x, feature_y = self.yaw, self.pitch  # features slide over the head as it turns
        spacing = uniform(0.30, 0.36) * self.width / 0.76
        eye_size, thick = uniform(0.11, 0.15), uniform(0.05, 0.10)
        eye_y = feature_y - 0.12
        glasses = self.rng.random() < 0.2
        for side in (-1, 1):
            x = feature_x + side * spacing * (1 + 0.5 * side * self.yaw)
            self._eye((x, eye_y), eye_size, f, side)
            brow_y = eye_y - 0.24 - 0.11 * f.brow_raise
            inner, outer = x - side * 0.17, x + side * 0.19
            tilt = 0.13 * f.brow_slant
            brow = [(inner, brow_y - tilt), (x, brow_y - 0.05 - 0.02 * f.brow_raise), (outer, brow_y + 0.6 * tilt)]
            self.line(_smooth(brow), self.hair * 0.6, thick)
            if f.cheek_raise > 0.25:
                self.line(_arc((x, eye_y + 0.10), (0.16, 0.10), 30, 150), 0.78 * skin, 0.03)
            if glasses:
                self.line(_arc((x, eye_y), (0.23, 0.18), 0, 360), self.ink, 0.035)
        self._nose(feature_x, feature_y, f)
        self._mouth(feature_x, feature_y + 0.52, f)
        if self.rng.random() < 0.12:  # beard
            self.dots((0, feature_y + 0.75), (0.5 * self.width, 0.3), self.hair)
        return self.canvas

    def _eye(self, at: tuple[float, float], size: float, f: Features, side: int) -> None:
        x, y = at
        height = size * float(np.clip(0.55 + 0.45 * f.eye_open, 0.12, 1.1))
        self.ellipse(at, (size * 1.15, height), min(250.0, self.skin + 45))
        gaze = (x + 0.3 * self.yaw, y)
        self.ellipse(gaze, (min(size * 0.55, height), min(size * 0.55, height)), self.ink * 0.5)
        self.line(_arc(at, (size * 1.2, height), 180, 360), self.ink, 0.035)

    def _nose(self, x: float, y: float, f: Features) -> None:
        tip = x + 0.5 * self.yaw
        self.line(_smooth([(x + 0.04, y), (tip + 0.06, y + 0.18), (tip - 0.05, y + 0.25)]), 0.72 * self.skin, 0.035)
        if f.nose_wrinkle > 0.2:
            for side in (-1, 1):
                fold = [(tip + side * 0.10, y + 0.10), (tip + side * 0.20, y + 0.22), (tip + side * 0.30, y + 0.42)]
                self.line(_smooth(fold), 0.68 * self.skin, 0.02 + 0.03 * min(1.0, f.nose_wrinkle))

    def _mouth(self, x: float, y: float, f: Features) -> None:
        half = self.rng.uniform(0.24, 0.30) * (1 + 0.35 * f.mouth_width)
        bend, gap = 0.15 * f.mouth_curve, max(0.0, 0.2 * f.mouth_open)
        lift = max(0.0, 0.10 * f.lip_raise)
        skew = self.rng.normal(0, 0.015)
        left, right = (x - half, y - bend + skew), (x + half, y - bend - skew)
        upper = _smooth([left, (x, y + bend - gap * 0.5 - lift), right])
        lower = _smooth([left, (x, y + bend + gap * 1.5), right])
        if gap + lift > 0.04:
            self.fill(np.concatenate([upper, lower[::-1]]), self.ink * 0.5)
            if self.rng.random() < 0.6:  # teeth
                teeth = _smooth([left, (x, y + bend - gap * 0.5 - lift + 0.07), right])
                self.fill(np.concatenate([upper, teeth[::-1]])[2:-2], min(250.0, self.skin + 50))
        for lip in (upper, lower):
            self.line(lip, self.ink, 0.05)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Points on the canvas, fixed-point."""
        placed = points @ self.rotation.T * self.scale + self.centre
        fixed: NDArray[np.int32] = np.rint(placed * 2**_SHIFT).astype(np.int32)
        return fixed

    def fill(self, points: NDArray[np.float64], grey: float) -> None:
        """A filled polygon."""
        cv2.fillPoly(self.canvas, [self.pixels(points)], float(np.clip(grey, 0, 255)), cv2.LINE_AA, _SHIFT)

    def ellipse(self, at: tuple[float, float], axes: tuple[float, float], grey: float) -> None:
        """A filled ellipse."""
        self.fill(_arc(at, axes, 0, 360), grey)

    def line(self, points: NDArray[np.float64], grey: float, thickness: float) -> None:
        """A curve."""
        width = max(1, round(thickness * self.scale))
        colour = float(np.clip(grey, 0, 255))
        cv2.polylines(self.canvas, [self.pixels(points)], False, colour, width, cv2.LINE_AA, _SHIFT)

    def dots(self, at: tuple[float, float], axes: tuple[float, float], grey: float) -> None:
        """Stubble: scattered points within an ellipse."""
        radius, angle = np.sqrt(self.rng.random(120)), self.rng.uniform(0, 2 * np.pi, 120)
        points = np.stack([radius * np.cos(angle) * axes[0] + at[0], radius * np.sin(angle) * axes[1] + at[1]], -1)
        for x, y in self.pixels(points):
            cv2.circle(self.canvas, (int(x), int(y)), 2 << _SHIFT, float(grey), cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _arc(at: tuple[float, float], axes: tuple[float, float], start: float, end: float) -> NDArray[np.float64]:
    angle = np.deg2rad(np.linspace(start, end, 41))
    return np.stack([at[0] + axes[0] * np.cos(angle), at[1] + axes[1] * np.sin(angle)], -1)


def _smooth(points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """A quadratic Bézier curve that passes the middle one of three points halfway."""
    a, b, c = np.array(points)
    t = np.linspace(0, 1, 21)[:, None]
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * (2 * b - (a + c) / 2) + t**2 * c)


def _photograph(image: Image, rng: np.random.Generator) -> Image:
    """Side light, exposure, blur, something in front of the face, and sensor noise."""
    grey: Any = image.astype(np.float32)
    ys, xs = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    grey *= 1 + rng.uniform(0, 0.55) * (xs * np.cos(angle) + ys * np.sin(angle))
    grey = 127 + (grey - 127) * rng.uniform(0.55, 1.15) + rng.uniform(-35, 35)
    if rng.random() < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.1))
    if rng.random() < 0.25:  # a hand, hair, the edge of a scarf
        corner, size = rng.integers(0, SIZE, 2), rng.integers(6, 18, 2)
        grey[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = rng.uniform(0, 255)
    grey += rng.normal(0, rng.uniform(2, 11), grey.shape)
    photograph: Image = np.clip(grey + 0.5, 0, 255).astype(np.uint8)
    return photograph
