"""What each epoch sees of the training images, as a pure function of numbers: what makes a resumed run equal an
uninterrupted one, and lets teachers be asked beforehand about what the network will see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.dataset import Split
from ..edge_runtime.preprocess import Pixels
from .augment import Augmentation


@dataclass(frozen=True)
class Views:
    """Every image once an epoch, in an order of its own and augmented anew; the last batch may be smaller.

    number: of epochs until the first one's order and augmented images come again; 0: they never do.
    """

    split: Split
    batch_size: int
    seed: int
    augmentation: Augmentation | None = None
    number: int = 0

    @property
    def per_epoch(self) -> int:
        """Batches of one epoch."""
        return math.ceil(len(self.split) / self.batch_size)

    def view(self, epoch: int) -> int:
        """Which view an epoch sees, both from 0."""
        return epoch % self.number if self.number else epoch

    def batch(self, epoch: int, position: int) -> tuple[NDArray[np.int64], Pixels, np.random.Generator]:
        """Of the batch at `position` of an epoch, both from 0: the images' indices (B,), their augmented copies uint8
        (B, H, W, C), and the generator of whatever else is drawn for it."""
        view = self.view(epoch)
        # NumPy fills a seed up with zeros, so that the order and the `rng` of position 0 are of one random stream. It
        # stays so: any other would change every run.
        order = np.random.default_rng([self.seed, view]).permutation(len(self.split))
        chosen = order[position * self.batch_size : (position + 1) * self.batch_size]
        rng = np.random.default_rng([self.seed, view, position])
        pixels = self.split.images[chosen]
        return chosen, pixels if self.augmentation is None else self.augmentation(pixels, rng), rng
