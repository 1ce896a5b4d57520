"""The label order. One place, for training, conversion, runtime and benchmark."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import OptionError

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The seven classes of FER2013, in alphabetical order (the order of its Kaggle folders)."""


def nearest(name: str, known: Sequence[str]) -> str:
    """A `did you mean` clause for an unknown name, or the list of known names."""
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def select_classes(wanted: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """The wanted classes in the wanted order, checked against those that exist.

    Raises OptionError for an unknown class, a repeated one, or fewer than two.
    """
    for name in wanted:
        if name not in available:
            raise OptionError(f"unknown class {name!r}: {nearest(name, available)}")
    if len(set(wanted)) != len(wanted):
        raise OptionError(f"a class is named twice in {','.join(wanted)}: name each once")
    if len(wanted) < 2:
        raise OptionError(f"at least two classes are needed, got {','.join(wanted) or 'none'}")
    return tuple(wanted)


def class_indices(wanted: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Positions of the wanted classes among a model's outputs, shape (len(wanted),)."""
    return np.array([list(labels).index(name) for name in select_classes(wanted, labels)], dtype=np.int64)
