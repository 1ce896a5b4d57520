"""Training batches as a pure function of the step number: what makes a resumed run equal an uninterrupted one."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.dataset import Split
from ..edge_runtime.metadata import InputSpec
from ..edge_runtime.preprocess import normalise
from .augment import Augmentation
from .targets import Targets

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
AHEAD = 3  # batches made in the background while the network computes


@dataclass(frozen=True)
class Batches:
    """Batches of a split, shuffled anew each epoch and augmented; the last of an epoch may be smaller.

    `batches[step]` for any global step from 0 is (images float32 (B, H, W, C), targets float32 (B, classes)).
    targets: a row for each image of the split. mixup: the α of Zhang 2018; each image is mixed with another of its
    batch, both by the same share, drawn for the batch from Beta(α, α); 0 mixes nothing.
    """

    split: Split
    targets: Targets
    spec: InputSpec
    batch_size: int
    seed: int
    augmentation: Augmentation | None = None
    mixup: float = 0.0

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch."""
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, step: int) -> Batch:
        epoch, position = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split))
        chosen = order[position * self.batch_size : (position + 1) * self.batch_size]
        pixels, targets = self.split.images[chosen], self.targets[chosen]
        rng = np.random.default_rng([self.seed, epoch, position])
        if self.augmentation is not None:
            pixels = self.augmentation(pixels, rng)
        images = normalise(pixels, self.spec)
        if self.mixup:
            share, other = np.float32(rng.beta(self.mixup, self.mixup)), rng.permutation(len(chosen))
            images = share * images + (1 - share) * images[other]
            targets = share * targets + (1 - share) * targets[other]
        return images, targets


def as_keras_dataset(batches: Batches, first_step: int) -> Any:
    """An endless `keras.utils.PyDataset` from `first_step` on, with a few batches made ahead in a thread."""
    import keras

    class Endless(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
            self._ahead: dict[int, Future[Batch]] = {}

        @property
        def num_batches(self) -> None:
            return None  # endless: `fit` counts steps_per_epoch

        def __getitem__(self, index: int) -> Batch:
            for step in range(index, index + AHEAD + 1):
                if step not in self._ahead:
                    self._ahead[step] = self._pool.submit(batches.__getitem__, first_step + step)
            return self._ahead.pop(index).result()

        def close(self) -> None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    return Endless()
