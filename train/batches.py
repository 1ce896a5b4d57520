"""Training batches, as a pure function of the step number."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.metadata import InputSpec
from ..edge_runtime.preprocess import normalise
from .targets import Targets
from .views import Views

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
AHEAD = 3  # batches made in the background while the network computes


@dataclass(frozen=True)
class Batches:
    """`batches[step]` for any global step from 0 is (images float32 (B, H, W, C), targets float32 (B, classes)).

    targets: a row for each image, or such rows for each of the views. mixup: the α of Zhang 2018; each image is mixed
    with another of its batch, both by the same share, drawn for the batch from Beta(α, α); 0 mixes nothing.
    """

    views: Views
    targets: Targets
    spec: InputSpec
    mixup: float = 0.0

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch."""
        return self.views.per_epoch

    def __getitem__(self, step: int) -> Batch:
        epoch, position = divmod(step, self.per_epoch)
        chosen, pixels, rng = self.views.batch(epoch, position)
        of_epoch = self.targets if self.targets.ndim == 2 else self.targets[self.views.view(epoch)]
        images, targets = normalise(pixels, self.spec), of_epoch[chosen]
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
