"""How a model is converted, as named frozen values. A converted file records the one it used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..edge_runtime.errors import OptionError
from ..edge_runtime.labels import nearest

Precision = Literal["float32", "float16", "dynamic", "int8"]
Io = Literal["int8", "float32"]
CALIBRATION_IMAGES = 500
"""Default number of calibration images; more changes the ranges of such networks little."""


@dataclass(frozen=True)
class Recipe:
    """One way to convert.

    precision: `float32`; `float16` stores weights in half precision; `dynamic` stores int8 weights and quantises
    activations while it runs; `int8` is integers throughout and needs calibration.
    io: type of the file's input and output tensor; `int8` only with int8 precision.
    keep_float: names of operators (their output tensors) that stay float in an int8 file.
    """

    precision: Precision
    io: Io = "float32"
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep_float", tuple(self.keep_float))
        if self.precision not in ("float32", "float16", "dynamic", "int8"):
            raise OptionError(f"unknown precision {self.precision!r}: {nearest(self.precision, tuple(RECIPES))}")
        if self.io not in ("int8", "float32"):
            raise OptionError(f"--io is int8 or float32, got {self.io!r}")
        if self.precision != "int8" and (self.io == "int8" or self.keep_float):
            raise OptionError(f"int8 input/output and layers kept in float exist only for int8, not {self.precision}")

    @property
    def name(self) -> str:
        """Name used in file names and tables: the precision, `int8-mixed` when some layers stay float."""
        return f"{self.precision}-mixed" if self.keep_float else self.precision

    @property
    def needs_calibration(self) -> bool:
        """Whether representative images are needed."""
        return self.precision == "int8"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**dataclasses.asdict(self), "keep_float": list(self.keep_float)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Recipe:
        """The inverse of `to_json`."""
        return cls(document["precision"], document["io"], tuple(document["keep_float"]))


FLOAT32 = Recipe("float32")
FLOAT16 = Recipe("float16")
DYNAMIC = Recipe("dynamic")
INT8 = Recipe("int8", io="int8")

RECIPES: dict[str, Recipe] = {recipe.precision: recipe for recipe in (FLOAT32, FLOAT16, DYNAMIC, INT8)}
"""Precision → its default recipe. An int8 file has int8 input and output: that loses nothing (a pixel is one of 256
values, and the logits are integers inside the file either way), saves two operators, and is what a Coral needs."""


def choose(precisions: Sequence[str], io: Io | None = None, edgetpu: bool = False) -> tuple[Recipe, ...]:
    """The recipes of these precisions, all four when none is named; `io` overrides that of int8.

    edgetpu: int8 is among them, and alone when nothing is named.
    Raises OptionError for an unknown name, an io without an int8 file, or float input for an Edge TPU.
    """
    if edgetpu:
        precisions = (*precisions, "int8")
        if io == "float32":
            raise OptionError("--edgetpu needs int8 input and output, so it excludes --io float32")
    for name in precisions:
        if name not in RECIPES:
            raise OptionError(f"unknown precision {name!r}: {nearest(name, tuple(RECIPES))}")
    chosen = [recipe for name, recipe in RECIPES.items() if name in precisions or not precisions]
    if io is None:
        return tuple(chosen)
    if INT8 not in chosen:
        raise OptionError("--io says how int8 files take their input: it needs --int8")
    return tuple(dataclasses.replace(r, io=io) if r.precision == "int8" else r for r in chosen)
