"""Score a model on a split, through the preprocessing the device uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .classifier import EmotionClassifier, LogitsModel, require_numbers
from .console import Progress, note
from .dataset import Dataset, Split
from .errors import DatasetError, OptionError
from .labels import class_indices, common_classes
from .machine import usable_cores
from .metadata import ModelMetadata
from .metrics import Metrics, score, softmax
from .preprocess import Pixels

CHUNK = 256


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one model on one split, and what they were computed from.

    logits, and probabilities at this temperature: float32 (N, classes), in the order of `split.classes`.
    """

    split: Split
    metrics: Metrics
    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    temperature: float = 1.0

    @classmethod
    def of_logits(cls, split: Split, logits: NDArray[np.float32], temperature: float = 1.0) -> Evaluation:
        """Score logits (N, classes) that are in the order of `split.classes`."""
        probabilities = softmax(logits, temperature)
        return cls(split, score(probabilities, split.labels, split.classes), probabilities, logits, temperature)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted positions in `split.classes`, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def ties(self) -> int:
        """Images whose highest logit two classes share, as logits in int8 may: their label is the first of the two."""
        highest = self.logits.max(axis=1, keepdims=True)
        return int(((self.logits == highest).sum(axis=1) > 1).sum())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict of the metrics, the ties and the split's name."""
        return {"split": self.split.name, **self.metrics.to_json(), "ties": self.ties}


def evaluate(model: LogitsModel, split: Split, progress: Progress | None = None) -> Evaluation:
    """One inference an image, none dropped. Classes that the split lacks are masked and the rest renormalised.

    Raises OptionError when the split has a class the model does not know, DatasetError when it has no images,
    ModelError when the model gives no numbers.
    """
    chosen = class_indices(split.classes, model.metadata.labels)
    parts = []
    for start in range(0, len(split), CHUNK):
        parts.append(model.logits(split.images[start : start + CHUNK]))
        if progress:
            progress(min(start + CHUNK, len(split)), len(split))
    if not parts:
        raise DatasetError(f"nothing to evaluate: the {split.name} split has no images")
    logits = require_numbers(np.concatenate(parts)[:, chosen], model.metadata.name or "the model")
    return Evaluation.of_logits(split, logits, model.metadata.temperature)


def open_model(model: str, declared: ModelMetadata | None = None, backend: str = "auto") -> LogitsModel:
    """A `.keras` file through the training side, anything else on the TFLite runtime, one interpreter a core.

    declared: for a TFLite file; OptionError for another.
    """
    if Path(model).suffix in (".keras", ".h5", ".hdf5"):
        if declared is not None:
            raise OptionError(f"--labels and --input describe a TFLite file, and {model} is none")
        keras_model = import_module("edge_emotion.train.keras_model")
        opened: LogitsModel = keras_model.KerasClassifier.open(Path(model))
        return opened
    return ParallelClassifier(model, metadata=declared, backend=backend)


class ParallelClassifier:
    """A TFLite file on several single-threaded interpreters at once: evaluation on all cores, the same outputs.

    Independent images on one interpreter a core are faster than one interpreter with a thread a core, and bit-equal
    to a single one.
    """

    def __init__(
        self,
        model: Path | str | bytes,
        *,
        metadata: ModelMetadata | None = None,
        backend: str = "auto",
        workers: int | None = None,
    ) -> None:
        """Open the model `workers` times, once for each core by default. Raises what EmotionClassifier raises."""
        count = workers or usable_cores()
        first = EmotionClassifier(model, metadata=metadata, backend=backend)
        self._classifiers = [first, *(first.twin() for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="evaluate")
        self.metadata = first.metadata

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Logits, float32 (N, classes), of prepared uint8 pixels (N, H, W, C), in order."""
        shares = np.array_split(pixels, len(self._classifiers))
        parts = self._pool.map(lambda pair: pair[0].logits(pair[1]), zip(self._classifiers, shares, strict=True))
        return np.concatenate(list(parts))

    def close(self) -> None:
        """Release the threads and the runtimes' memory."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for classifier in self._classifiers:
            classifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def classes_in_common(dataset: Dataset, models: Sequence[ModelMetadata]) -> tuple[str, ...]:
    """The classes that the data and all these models know, in the first model's order and spelling.

    Raises DatasetError when they are fewer than two.
    """
    first, *others = (model.labels for model in models)
    common = common_classes(first, dataset.classes, *others)
    if len(common) < 2:
        known = " and ".join(dict.fromkeys(", ".join(model.labels) for model in models))
        who, apart = ("models know", ", or bench the models apart") if others else ("model knows", "")
        raise DatasetError(
            f"{dataset.path} has the classes {', '.join(dataset.classes)}, the {who} {known}: "
            f"fewer than two are common; rename the folders{apart}"
        )
    return common


def load_split_for(
    model: LogitsModel,
    dataset: Dataset,
    split: str,
    classes: Sequence[str] | None,
    progress: Progress | None = None,
) -> Split:
    """The split prepared for this model: the asked classes, else the model's own that the data has, in its order.

    Raises as `classes_in_common` and `load` do.
    """
    wanted = classes or classes_in_common(dataset, [model.metadata])
    return dataset.load(split, model.metadata.input, wanted, progress)


def left_out(dataset: Dataset, split: Split) -> dict[str, int]:
    """Class → number of its images, of the classes that this split of the dataset was loaded without."""
    return {name: len(files) for name, files in dataset.members[split.name].items() if name not in split.classes}


def note_left_out(classes: Mapping[str, int]) -> None:
    """Say of what `left_out` found that the model knows none of it; nothing where it found nothing."""
    if classes:
        note(f"{sum(classes.values())} images of {', '.join(classes)} are left out: the model has none")


def masked(labels: Sequence[str], split: Split) -> tuple[str, ...]:
    """Those of a model's labels that are no class of the split: `evaluate` masks their outputs."""
    chosen = class_indices(split.classes, labels)
    return tuple(label for index, label in enumerate(labels) if index not in chosen)
