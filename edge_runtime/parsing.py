"""Options as they are typed, read into values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .console import note
from .errors import ModelError, OptionError
from .labels import find_class
from .metadata import InputSpec, ModelMetadata, read
from .zoo import resolve


def parse_classes(text: str | None) -> tuple[str, ...] | None:
    """`angry, happy` as ('angry', 'happy'); None stays None. Raises OptionError when a name is empty."""
    if text is None:
        return None
    names = tuple(part.strip().lower() for part in text.split(","))
    if "" in names:
        raise OptionError(f"--classes has an empty name in {text!r}: write them as angry,happy,neutral")
    return names


def parse_limit(text: str | None) -> tuple[int, int | None] | None:
    """`400,160` as (400, 160), `400` as (400, None). Raises OptionError for anything else."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(f"--limit takes TRAIN or TRAIN,VALIDATION images a class, such as 400,160; got {text!r}")
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else None


def parse_declared(labels: str | None, input_spec: str | None) -> ModelMetadata | None:
    """Metadata from `--labels` and `--input`; None when no labels are given. Raises OptionError."""
    if labels is None:
        if input_spec is not None:
            raise OptionError("--input describes a file without metadata, so it needs --labels too")
        return None
    spec = InputSpec()
    if input_spec is not None:
        try:
            size, colour, low, high = input_spec.split(":")
            width, height = size.lower().split("x")
            spec = InputSpec(int(width), int(height), colour, float(low), float(high))  # type: ignore[arg-type]
        except (ValueError, ModelError) as error:
            raise OptionError(f"--input is written like 64x64:grey:-1:1, got {input_spec!r} ({error})") from error
    try:
        return ModelMetadata(tuple(name.strip() for name in labels.split(",")), spec)
    except ModelError as error:
        raise OptionError(f"--labels: {error}") from error


def declare(model: str, labels: str | None, input_spec: str | None) -> ModelMetadata | None:
    """What `--labels` and `--input` say of a model, a path or the name of a bundled one; None when neither is given.

    Of a file with metadata they replace the names and nothing else. Raises OptionError: not written as they should be,
    another number of names, or `--input` for a file that says its own; ModelError: no such file.
    """
    if labels is None and input_spec is None:
        return None
    return describe(model, read(resolve(model)), labels, input_spec)


def describe(
    model: Path | str, known: ModelMetadata | None, labels: str | None, input_spec: str | None
) -> ModelMetadata | None:
    """What `declare` answers, of a model whose own metadata are `known`."""
    if known is not None and input_spec is not None:
        raise OptionError(f"--input is for a file without metadata: {model} says its own input")
    declared = parse_declared(labels, input_spec)
    if known is None or declared is None:
        return declared
    try:
        return known.renamed(declared.labels)
    except ModelError as error:
        raise OptionError(f"--labels: {error}") from error


def declare_each(models: Sequence[str], labels: str | None, input_spec: str | None) -> dict[Path, ModelMetadata]:
    """What `--labels` and `--input` say of the models of one call, by path; those they do not speak of are left out.

    They describe the files without metadata, whose precision then is empty: nobody said it. Where all files say what
    they are, `--labels` renames the outputs of all. Raises as `declare` does.
    """
    if labels is None and input_spec is None:
        return {}
    known = {path: read(path) for path in map(resolve, models)}
    bare = [path for path, own in known.items() if own is None]
    said = {path: describe(path, known[path], labels, input_spec) for path in bare or known}
    if 0 < len(bare) < len(known):
        names = ", ".join(path.name for path in bare)
        note(f"--labels is for the files without metadata: {names}; the others keep their own")
    return {path: one if known[path] else replace(one, precision="") for path, one in said.items() if one}


def parse_logit_bias(text: str | None, labels: Sequence[str]) -> dict[str, float]:
    """`disgust=0.3,fear=-0.1` as a dict, the classes as labels spell them; None is empty.

    Raises OptionError, also for a class that is not in labels.
    """
    biases: dict[str, float] = {}
    for part in text.split(",") if text is not None else ():
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            label = find_class(name, labels)
        except OptionError as error:
            raise OptionError(f"--logit-bias: {error}") from error
        try:
            biases[label] = float(value)
        except ValueError as error:
            raise OptionError(f"--logit-bias is written like disgust=0.3,fear=-0.1, got {text!r}") from error
    return biases
