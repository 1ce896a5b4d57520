"""Representative images for int8: which ones, chosen so that the choice can be repeated and leaks nothing."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.dataset import Split, name_bytes
from ..edge_runtime.errors import DatasetError, ImageError, OptionError
from ..edge_runtime.leftovers import pictures_in
from ..edge_runtime.metadata import InputSpec
from ..edge_runtime.preprocess import Pixels, fingerprint, prepare, read_image
from .recipes import CALIBRATION_IMAGES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The images that set the ranges of an int8 file.

    images: uint8 (N, H, W, C), prepared as on the device, no augmentation. files: their names, in order.
    source: where they came from. left_out: candidates passed over because they equal a validation image.
    """

    images: Pixels
    files: tuple[str, ...]
    source: str
    seed: int
    left_out: int = 0

    def __post_init__(self) -> None:
        if len(self.files) == 0 or len(self.files) != len(self.images):
            raise DatasetError(f"calibration needs images, got {len(self.images)} with {len(self.files)} names")

    @property
    def sha256(self) -> str:
        """Hash of names and pixels, in order."""
        digest = hashlib.sha256(name_bytes("\n".join(self.files)))
        digest.update(np.ascontiguousarray(self.images).tobytes())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict: source, seed, hash and file list."""
        return {
            "source": self.source,
            "seed": self.seed,
            "n": len(self.files),
            "left_out_as_validation_images": self.left_out,
            "sha256": self.sha256,
            "files": list(self.files),
        }

    @classmethod
    def from_split(
        cls, split: Split, samples: int = CALIBRATION_IMAGES, seed: int = 0, validation: Split | None = None
    ) -> Calibration:
        """A class-balanced sample: one image of each class in turn until there are `samples`, drawn with the seed.

        Images that equal one of `validation` are passed over. A class that runs out leaves its share to the others.
        """
        _check_samples(samples)
        held_out = set(map(fingerprint, validation.images)) if validation is not None else set()
        rng = np.random.default_rng(seed)
        left_out, queues = 0, []
        for index in range(len(split.classes)):
            members = rng.permutation(np.flatnonzero(split.labels == index))
            clean = [int(i) for i in members if fingerprint(split.images[i]) not in held_out]
            left_out += len(members) - len(clean)
            queues.append(clean)
        turns = (queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue))
        chosen = [index for index, _ in zip(turns, range(samples), strict=False)]
        if not chosen:
            raise DatasetError(f"every image of the {split.name} split is a validation image too: none can calibrate")
        files = tuple(split.files[i] for i in chosen)
        return cls(split.images[np.array(chosen)], files, f"{split.name} split", seed, left_out)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        spec: InputSpec,
        samples: int = CALIBRATION_IMAGES,
        seed: int = 0,
        validation: Split | None = None,
    ) -> Calibration:
        """At most `samples` of the images that lie directly in a folder, drawn with the seed; labels are not needed.

        Raises DatasetError: no folder, no readable image in it, or a validation image in it (calibrating on what the
        result is measured with is a leak). Raises ImageError: no picture in it.
        """
        _check_samples(samples)
        if not folder.is_dir():
            raise DatasetError(f"calibration folder {folder} is not a folder")
        paths = pictures_in(folder)
        if len(paths) > samples:
            paths = [paths[i] for i in sorted(np.random.default_rng(seed).permutation(len(paths))[:samples])]
        images, files = [], []
        for path in paths:
            try:
                images.append(prepare(read_image(path), spec))
                files.append(path.name)
            except ImageError as error:
                logger.warning("calibration image skipped: %s", error)
        if not images:
            raise DatasetError(f"calibration folder {folder} has no readable image")
        if validation is not None:
            held_out = set(map(fingerprint, validation.images))
            leaks = [name for name, image in zip(files, images, strict=True) if fingerprint(image) in held_out]
            if leaks:
                raise DatasetError(
                    f"calibration folder {folder} holds {len(leaks)} validation image(s), such as {leaks[0]}: "
                    "that is a leak, take them out"
                )
        return cls(np.stack(images), tuple(files), str(folder), seed)


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise OptionError(f"--calibration-samples must be at least 1, got {samples}")
