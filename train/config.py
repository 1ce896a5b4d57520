"""What a training run is made of, apart from the data itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..edge_runtime.errors import OptionError
from .presets import Preset

TEACHER_WEIGHT, VOTES_WEIGHT = 0.5, 0.5
"""How much of a target teachers and votes make up unless told otherwise."""
TEACHER_VIEWS = 16
"""How many augmented copies of each image teachers are asked about unless told otherwise."""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class TrainConfig:
    """What a run is made of, apart from the data itself. Recorded in run.json and compared on resume.

    limit: images a class for (training, validation); None keeps all. initial: `.keras` file whose weights to start
    from. teachers: model files whose mean probabilities make up teacher_weight of the targets, for each of
    teacher_views augmented copies of an image (without augmentation for the image as it is), or with 0 for the image
    and its mirror image; votes: CSV of annotators' votes that make up votes_weight of them (see `targets`). qat: train
    the folded network while it rounds as int8 does (see `rounding`).
    """

    preset: Preset
    classes: tuple[str, ...]
    seed: int = 0
    precision: str = "float32"
    limit: tuple[int, int | None] | None = None
    initial: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_weight: float = TEACHER_WEIGHT
    teacher_views: int = TEACHER_VIEWS
    votes: str | None = None
    votes_weight: float = VOTES_WEIGHT
    qat: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        for name, weight in (("teacher", self.teacher_weight), ("votes", self.votes_weight)):
            if not 0 < weight <= 1:
                raise OptionError(f"the weight of the {name} must be above 0 and at most 1, got {weight}")
        if self.teacher_views < 0:
            raise OptionError(f"the views of teachers are 0 or more, got {self.teacher_views}")
        if self.qat and not self.initial:
            raise OptionError("--qat goes on with a trained model: name it with --from")

    @property
    def soft(self) -> bool:
        """Whether more than the labels is learnt: the targets are then kept in the run folder."""
        return bool(self.teachers or self.votes)

    @property
    def views(self) -> int:
        """How many epochs have augmented images of their own before the first one's come again; 0: all."""
        return min(self.teacher_views, self.preset.epochs) if self.teachers and self.preset.augmentation else 0

    @property
    def models(self) -> tuple[str, ...]:
        """The model files that the run learns and starts from."""
        return (*self.teachers, self.initial) if self.initial else self.teachers

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "preset": self.preset.to_json(),
            "classes": list(self.classes),
            "seed": self.seed,
            "precision": self.precision,
            "limit": list(self.limit) if self.limit else None,
            "initial": self.initial,
            "teachers": list(self.teachers),
            "teacher_weight": self.teacher_weight,
            "teacher_views": self.teacher_views,
            "votes": self.votes,
            "votes_weight": self.votes_weight,
            "qat": self.qat,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainConfig:
        """The inverse of `to_json`. Raises OptionError when a setting is malformed."""
        try:
            values = dict(document)
            values["preset"] = Preset.from_json(values["preset"])
            values["classes"] = tuple(values["classes"])
            values["teachers"] = tuple(values.get("teachers", ()))
            values.setdefault("teacher_views", 0)  # as of runs before there were any
            values["limit"] = tuple(values["limit"]) if values["limit"] else None
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise OptionError(f"recorded settings are malformed: {error}") from error
