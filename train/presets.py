"""Training presets as named frozen values. A run records the one it used."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..edge_runtime.errors import ModelError, OptionError
from ..edge_runtime.labels import nearest
from ..edge_runtime.metadata import FACE_48, FACE_48_CENTRED, InputSpec
from .architectures import Architecture, MobileNet, ResidualNetwork, SlidesNetwork, architecture_from_json
from .augment import Augmentation


@dataclass(frozen=True)
class Preset:
    """A network and the recipe that trains it.

    weight_decay is decoupled (each step takes learning_rate × weight_decay off kernels, not biases or norms).
    average_momentum: per-step momentum of the weight average that is validated and saved, in a run of n steps at most
    n / (n + 10); None saves raw weights.
    warmup_epochs: of a linear rise to the learning rate before the cosine, in a short run at most half of it.
    clean: leave what `cleaning.inspect` finds out of training: blanks, repeats, conflicts, copies of validation images.
    class_balance: exponent of `targets.balanced`, 0 for none. mixup: α of `Batches`, 0 for none.
    """

    name: str
    description: str
    architecture: Architecture
    optimizer: Literal["rmsprop", "sgd", "adamw"]
    learning_rate: float
    batch_size: int
    epochs: int
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: int = 0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    average_momentum: float | None = None
    augmentation: Augmentation | None = None
    clean: bool = False
    class_balance: float = 0.0
    mixup: float = 0.0
    input: InputSpec = FACE_48

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise OptionError(f"epochs and batch size must be at least 1, got {self.epochs} and {self.batch_size}")
        for name, fits, allowed in (
            ("name", self.name == Path(self.name).name, "a plain name, as run folders are called by it"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "above 0"),
            ("warmup_epochs", self.warmup_epochs >= 0, "at least 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1"),
            ("average_momentum", 0 <= (self.average_momentum or 0) < 1, "from 0 to below 1"),
            ("class_balance", 0 <= self.class_balance <= 1, "from 0 to 1, where all classes weigh the same"),
            ("mixup", 0 <= self.mixup < math.inf, "at least 0"),
        ):
            if not fits:
                raise OptionError(f"{name} must be {allowed}, got {getattr(self, name)!r}")
        if self.warmup_epochs and self.schedule == "constant":
            raise OptionError("warmup_epochs leads up to a schedule: set warmup_epochs=0, or schedule=cosine")
        for name, known in (("optimizer", ("rmsprop", "sgd", "adamw")), ("schedule", ("constant", "cosine"))):
            if getattr(self, name) not in known:
                raise OptionError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict; the architecture's type is named under `architecture.kind`."""
        document = dataclasses.asdict(self)
        document["architecture"]["kind"] = type(self.architecture).__name__
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Preset:
        """The inverse of `to_json`. Raises OptionError when a value is missing, unknown or out of range."""
        try:
            values = dict(document)
            values["architecture"] = architecture_from_json(values["architecture"])
            values["input"] = InputSpec(**values["input"])
            if values["augmentation"] is not None:
                values["augmentation"] = Augmentation(**values["augmentation"])
            return cls(**values)
        except ModelError as error:  # of the input
            raise OptionError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise OptionError(f"malformed preset: {error}") from error


FACERES = InputSpec(low=-116.779, high=255 - 116.779)
"""Grey levels less the mean that published face networks take off green, the middle one of 103.939, 116.779, 123.68."""


def _residual(name: str, description: str, architecture: ResidualNetwork, epochs: int, erase: float = 0.35) -> Preset:
    return Preset(
        name=name,
        description=description,
        architecture=architecture,
        optimizer="sgd",
        learning_rate=0.1,
        batch_size=128,
        epochs=epochs,
        schedule="cosine",
        warmup_epochs=2,
        weight_decay=5e-3,
        label_smoothing=0.1,
        average_momentum=0.998,
        augmentation=Augmentation(resample=0.1, noise=0.15, erase=erase),
        clean=True,
        class_balance=0.3,
        input=FACE_48_CENTRED,
    )


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="seed",
            description="the reference network and recipe of the customer's slides",
            architecture=SlidesNetwork(),
            optimizer="rmsprop",
            learning_rate=1e-4,
            batch_size=50,
            epochs=200,
        ),
        _residual(
            "edge-m",
            "residual network of 57 MMAC, 0.97 M parameters: the accurate one for a Pi 4 or 5",
            ResidualNetwork(stem=16, stages=((32, 1), (64, 2), (128, 3))),
            epochs=105,
        ),
        _residual(
            "edge-s",
            "residual network of 14 MMAC, 0.24 M parameters: the small one",
            ResidualNetwork(stem=8, stages=((16, 1), (32, 2), (64, 3))),
            epochs=170,
            erase=0.3,
        ),
        _residual(
            "teacher",
            "residual network of 0.69 GMAC, 9.5 M parameters: to learn from (--teacher), on a GPU; not for a device",
            ResidualNetwork(stem=32, stages=((96, 2), (192, 3), (384, 3))),
            epochs=120,
        ),
        Preset(
            name="face",
            description="MobileNet of 146 MMAC, 3.2 M parameters that goes on from a published face network: "
            "to learn from (--teacher); not for a device",
            architecture=MobileNet(),
            optimizer="adamw",
            learning_rate=7e-4,
            batch_size=64,
            epochs=36,
            schedule="cosine",
            warmup_epochs=1,
            weight_decay=0.02,
            label_smoothing=0.05,
            average_momentum=0.998,
            augmentation=Augmentation(resample=0.1, noise=0.1, erase=0.3),
            clean=True,
            class_balance=0.3,
            input=FACERES,
        ),
        dataclasses.replace(
            _residual(
                "tiny",
                "residual network of 6 MMAC for demonstrations and tests: trains in a minute, not for use",
                ResidualNetwork(stem=8, stages=((16, 1), (32, 1), (64, 1))),
                epochs=10,
            ),
            batch_size=32,
            warmup_epochs=1,
            average_momentum=0.95,
            augmentation=Augmentation(rotation=5.0, scale=0.05, shift=0.04, brightness=0.1, contrast=0.1, erase=0.0),
        ),
    )
}


_OPTIONAL: dict[str, type] = {"average_momentum": float, "augmentation": dict}
"""Settings that may be null, and their kind where they are not."""


def adjusted(preset: Preset, settings: Sequence[str]) -> Preset:
    """The preset with settings such as `mixup=0.2` or `augmentation.erase=0` (values in JSON) in place of its own.

    Raises OptionError: no `=`, an unknown name (with those there are), a value of another kind.
    """
    document = json.loads(json.dumps(preset.to_json()))
    for setting in settings:
        path, equals, text = setting.partition("=")
        *folders, name = path.strip().split(".")
        place: Any = document
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if not (equals and isinstance(place, dict)) or name not in place:
            known = ", ".join(place) if isinstance(place, dict) else ", ".join(document)
            raise OptionError(f"--set takes NAME=VALUE with a setting of {preset.name} ({known}), got {setting!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text.strip()
        old, optional = place[name], name in _OPTIONAL
        kind = _OPTIONAL[name] if optional else type(old)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind and not (optional and value is None):
            raise OptionError(f"{path} is {json.dumps(old)} in {preset.name} and cannot be {text.strip()!r}")
        place[name] = value
    return Preset.from_json(document)


def fine_tuning(preset: Preset, spec: InputSpec) -> Preset:
    """A short, gentle recipe for going on from trained weights with a few hundred images."""
    return dataclasses.replace(
        preset,
        optimizer="sgd",
        schedule="cosine",
        learning_rate=0.01,
        batch_size=32,
        epochs=20,
        warmup_epochs=1,
        average_momentum=0.95,
        input=spec,
    )


def quantisation_aware(preset: Preset, spec: InputSpec) -> Preset:
    """A short recipe for going on from trained weights with rounding: rates that a folded network stands."""
    return dataclasses.replace(
        preset, optimizer="sgd", learning_rate=1e-3, epochs=5, schedule="cosine", warmup_epochs=1, input=spec
    )


def get_preset(name: str) -> Preset:
    """The preset of that name. Raises OptionError naming the nearest one."""
    if name not in PRESETS:
        raise OptionError(f"unknown preset {name!r}: {nearest(name, tuple(PRESETS))}")
    return PRESETS[name]
