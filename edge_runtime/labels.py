"""The label order. One place, for training, conversion, runtime and benchmark."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .errors import OptionError

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The seven classes of FER2013, in alphabetical order (the order of its Kaggle folders)."""
CLOSE = 0.6
"""The likeness from which on a name is suggested: the cutoff of `difflib.get_close_matches`."""


def nearest(name: str, known: Sequence[str]) -> str:
    """A `did you mean` clause for an unknown name, with the nearest as they are spelt, or the list of known names.

    >>> nearest("hapy", ["Angry", "Happy"])
    'did you mean Happy?'
    >>> nearest("edge", ["tiny", "edge-m", "edge-s"])
    'did you mean edge-m or edge-s?'
    """
    likeness = {k: difflib.SequenceMatcher(None, k.lower(), name.lower()).ratio() for k in known}
    best = max(likeness.values(), default=0.0)
    close = [k for k, ratio in likeness.items() if ratio == best]
    return f"did you mean {' or '.join(close)}?" if best >= CLOSE else f"known: {', '.join(known)}"


def find_class(name: str, available: Sequence[str]) -> str:
    """The class of that name, as it is spelt; upper and lower case are the same. Raises OptionError where none is."""
    spelling = {known.lower(): known for known in available} | {known: known for known in available}
    found = spelling.get(name) or spelling.get(name.lower())
    if found is None:
        raise OptionError(f"unknown class {name!r}: {nearest(name, available)}")
    return found


def select_classes(wanted: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """The wanted classes in the wanted order, as those that exist spell them; upper and lower case are the same.

    Raises OptionError for an unknown class, a repeated one, or fewer than two.

    >>> select_classes(["happy", "angry"], ["Angry", "Happy", "Sad"])
    ('Happy', 'Angry')
    """
    chosen = tuple(find_class(name, available) for name in wanted)
    if len(set(chosen)) != len(chosen):
        raise OptionError(f"a class is named twice in {','.join(wanted)}: name each once")
    if len(chosen) < 2:
        raise OptionError(f"at least two classes are needed, got {','.join(wanted) or 'none'}")
    return chosen


def common_classes(labels: Sequence[str], *others: Sequence[str]) -> tuple[str, ...]:
    """The labels that all the others have too, in their own order and spelling; upper and lower case are the same.

    >>> common_classes(["Angry", "Happy", "Sad"], ["happy", "sad", "surprise"])
    ('Happy', 'Sad')
    """
    there = [{name.lower() for name in other} for other in others]
    return tuple(label for label in labels if all(label.lower() in names for names in there))


def class_indices(wanted: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Positions of the wanted classes among a model's outputs, as `select_classes` finds them."""
    return [list(labels).index(name) for name in select_classes(wanted, labels)]
