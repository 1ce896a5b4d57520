"""The one classifier: prepared pixels or whole face crops in, probabilities out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from . import edgetpu
from . import metadata as model_metadata
from .console import note
from .errors import ModelError
from .interpreter import BACKENDS, TFLiteInterpreter, load_backend, open_interpreter
from .labels import class_indices, select_classes
from .metadata import ModelMetadata, is_tflite, strip
from .metrics import softmax
from .preprocess import AnyImage, Pixels, prepare

SUM_TOLERANCE = 0.03
"""How far the sum of seven probabilities in steps of 1/256 may be from 1, with a step to spare for the kernel."""


class LogitsModel(Protocol):
    """What can be evaluated: a TFLite file, a Keras model, a fake."""

    metadata: ModelMetadata

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Logits, float32 (N, classes), of prepared uint8 pixels (N, H, W, C)."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


@dataclass(frozen=True)
class Prediction:
    """The apparent expression of one face: probabilities by label, in the model's order, summing to 1."""

    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable label."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """Its probability, 0 to 1."""
        return self.probabilities[self.label]


class EmotionClassifier:
    """Classify face crops with a TFLite model.

    Safe to use from several threads, which take turns; for work at the same time each takes a `twin`.

    >>> with EmotionClassifier("edge-m.tflite") as classifier:      # doctest: +SKIP
    ...     print(classifier.predict(crop).label)
    """

    def __init__(
        self,
        model: Path | str | bytes,
        *,
        metadata: ModelMetadata | None = None,
        classes: Sequence[str] | None = None,
        backend: str = "auto",
        threads: int = 1,
        device: str = "auto",
    ) -> None:
        """Open a model.

        model: a path, the name of a bundled model, or the file's bytes. metadata: for a file that carries none, or in
        place of its own. classes: report only these, renormalised. device: `cpu`, or an Edge TPU as `usb`, `usb:0`,
        `pci:0`; `auto` takes one for a model compiled for it. Where none works, or the model is not compiled for it,
        that is said and the CPU is used.
        Raises ModelError, RuntimeMissingError, or OptionError for an unknown backend or device.
        """
        name, content = _read(model)
        if not is_tflite(content):
            keras = name.endswith((".keras", ".h5", ".hdf5"))
            raise ModelError(
                f"{name} is not a TFLite file{f': edge-emotion convert {name} makes one' if keras else ''}"
            )
        name, content, tpu = _place(name, content, backend, device)
        self._name = name
        self.device = "cpu" if tpu is None else f"edgetpu {tpu}".strip()
        """Where it runs."""
        known = metadata or model_metadata.parse(content)
        if known is None:
            raise ModelError(
                f"{name} carries no metadata: give its labels and input with --labels and --input (one that had some "
                "was cut off: copy it again)"
            )
        self.metadata: ModelMetadata = known
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.size_bytes = len(content)
        self._open = partial(open_interpreter, content, self.metadata.input, backend, threads, tpu)
        try:
            self._interpreter = self._open()
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        if self._interpreter.classes != len(self.metadata.labels):
            raise ModelError(
                f"{name} has {self._interpreter.classes} outputs but {len(self.metadata.labels)} labels: refused"
            )
        if metadata is not None:  # declared, so nobody said whether there is a softmax at the end
            self.metadata = replace(metadata, outputs=_kind_of_outputs(self._interpreter, metadata))
        self._chosen = class_indices(classes, self.metadata.labels) if classes else None
        self.labels = select_classes(classes, self.metadata.labels) if classes else self.metadata.labels

    def twin(self) -> Self:
        """The same classifier on an interpreter of its own, for work at the same time. It has to be closed, too."""
        other = copy(self)
        other._interpreter = self._open()
        return other

    @property
    def backend(self) -> str:
        """Name of the runtime in use."""
        return self._interpreter.backend

    @property
    def output_step(self) -> float:
        """How far two neighbouring output values are apart; 0 for a model with float outputs."""
        return self._interpreter.output_quantisation.scale

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Logits of all the model's classes, float32 (N, classes), of prepared uint8 pixels (N, H, W, C).

        Raises ModelError when the model computes no numbers.
        """
        if len(pixels) == 0:
            return np.zeros((0, len(self.metadata.labels)), np.float32)
        return np.stack([self._answer(image) for image in pixels])

    def predict(self, crop: AnyImage) -> Prediction:
        """The apparent expression of one face crop, uint8 grey (H, W) or BGR (H, W, 3), of any size.

        Raises ImageError for what is no such array, ModelError when the model computes no numbers or is closed.
        """
        return self.predict_prepared(prepare(crop, self.metadata.input))

    def predict_prepared(self, pixels: Pixels) -> Prediction:
        """The apparent expression of one face as prepared uint8 pixels (H, W, C), see `preprocess.prepare`.

        Raises ModelError when the model computes no numbers.
        """
        values = self._answer(pixels)
        chosen = values if self._chosen is None else values[self._chosen]
        probabilities = softmax(chosen, self.metadata.temperature)
        return Prediction(dict(zip(self.labels, probabilities.tolist(), strict=True)))

    def _answer(self, pixels: Pixels) -> NDArray[np.float32]:
        values = to_logits(self._interpreter(pixels), self.metadata)
        return require_numbers(values, self._name)

    def close(self) -> None:
        """Release the runtime's memory."""
        self._interpreter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def to_logits(outputs: NDArray[np.float32], metadata: ModelMetadata) -> NDArray[np.float32]:
    """A model's outputs as logits: as they are, or the logarithm of probabilities (softmax gives them back)."""
    if metadata.outputs == "logits":
        return outputs
    return np.log(np.maximum(outputs, np.float32(1e-7)))


def require_numbers(logits: NDArray[np.float32], model: str) -> NDArray[np.float32]:
    """Logits (…, classes) as they are. Raises ModelError, with the model's name, where no softmax can be taken of them.

    Minus infinity, as a log-softmax gives it for a probability of 0, is refused only where all classes have it.
    """
    if not np.isfinite(logits.max(axis=-1)).all():
        raise ModelError(f"{model} gives NaN or infinity in place of logits: train, convert or copy it again")
    return logits


def are_probabilities(outputs: NDArray[np.float32]) -> bool:
    """Whether the rows of a model's outputs (N, classes) are distributions, to within what int8 rounding does to them.

    >>> are_probabilities(np.array([[0.25, 0.75]], np.float32)), are_probabilities(np.array([[-1, 2]], np.float32))
    (True, False)
    """
    return bool((outputs >= 0).all() and (np.abs(outputs.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def _kind_of_outputs(interpreter: TFLiteInterpreter, metadata: ModelMetadata) -> Literal["logits", "probabilities"]:
    """Found out on noise: logits of four random images are never all distributions by chance."""
    if metadata.outputs == "probabilities":
        return "probabilities"
    noise = np.random.default_rng(0).integers(0, 256, (4, *metadata.input.shape), np.uint8)
    return "probabilities" if are_probabilities(np.stack([interpreter(image) for image in noise])) else "logits"


def _place(name: str, content: bytes, backend: str, device: str) -> tuple[str, bytes, str | None]:
    """The model to run, and the Edge TPU to run it on, None for the CPU."""
    compiled = edgetpu.is_compiled(content)
    if device == "cpu":
        return *edgetpu.cpu_version(name, content, "the device is cpu"), None
    wanted = edgetpu.check_device(device)
    if not compiled:
        if device != "auto":
            note(
                f"{name} is not compiled for the Edge TPU: running it on the CPU "
                f"(edge-emotion convert {name} --edgetpu compiles an int8 one)"
            )
        return name, content, None
    runtime, _ = load_backend(backend)
    reason = edgetpu.refusal(strip(content), BACKENDS[runtime][0], wanted)
    if not reason:
        return name, content, wanted
    name, content = edgetpu.cpu_version(name, content, reason)
    note(f"no Edge TPU: {reason}; running {name} on the CPU")
    return name, content, None


def _read(model: Path | str | bytes) -> tuple[str, bytes]:
    if isinstance(model, bytes):
        return "the model", model
    from .zoo import resolve

    path = resolve(model)
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror or error}") from error
