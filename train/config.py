"""What a training run is made of, apart from the data itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..edge_runtime.errors import OptionError
from .presets import Preset

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class TrainConfig:
    """What a run is made of, apart from the data itself. Recorded in run.json and compared on resume.

    limit: images a class for (training, validation); None keeps all.
    """

    preset: Preset
    classes: tuple[str, ...]
    seed: int = 0
    precision: str = "float32"
    limit: tuple[int, int | None] | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "preset": self.preset.to_json(),
            "classes": list(self.classes),
            "seed": self.seed,
            "precision": self.precision,
            "limit": list(self.limit) if self.limit else None,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainConfig:
        """The inverse of `to_json`. Raises OptionError when a setting is malformed."""
        try:
            values = dict(document)
            values["preset"] = Preset.from_json(values["preset"])
            values["classes"] = tuple(values["classes"])
            values["limit"] = tuple(values["limit"]) if values["limit"] else None
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise OptionError(f"recorded settings are malformed: {error}") from error
