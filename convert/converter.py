"""Convert a model and prove what it cost: lower, verify each file, repair what fails, compile for a Coral."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..edge_runtime import console
from ..edge_runtime.dataset import Split
from ..edge_runtime.errors import DatasetError, ModelError, OptionError
from ..edge_runtime.labels import class_indices
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Pixels
from .calibration import Calibration
from .contract import DEFAULT, Contract
from .conversion import Conversion, Output
from .coral import compile_file
from .layers import tensors_of
from .lowering import Job, lower
from .recipes import FLOAT32, RECIPES, Recipe
from .source import metadata_of, source_sha256
from .targets import Reference, noise_images
from .verification import Verifier, calibrated

PROBED = 64
"""Images on which each runtime is tried; the accuracy is measured on all of them."""


def convert_model(
    model: Path,
    out: Path,
    *,
    recipes: Sequence[Recipe] = tuple(RECIPES.values()),
    calibration: Calibration | None = None,
    validation: Split | None = None,
    contract: Contract = DEFAULT,
    declared: ModelMetadata | None = None,
    keep_float: Sequence[str] = (),
    fix: bool = False,
    edgetpu: bool = False,
) -> Conversion:
    """Convert a `.keras` file or SavedModel folder into `out`, one `<name>-<precision>.tflite` a recipe.

    Each file is evaluated on `validation` through the device path, its temperature fitted there, and judged by the
    contract before it gets its name: one that fails is written as `….tflite.rejected`. Where there are too few images
    for the contract, a file that LiteRT cannot run, or that answers garbage there, fails. A name only ever holds a
    whole, judged file. declared: metadata of a model that carries none. keep_float: names of layers that stay float in
    int8 files, which then are `int8-mixed`. fix: where int8 exceeds the contract, keep the layers that hurt most in
    float until it is met. edgetpu: compile the int8 file for a Coral.
    Raises ModelError, DatasetError (int8 without calibration), RuntimeMissingError (no TensorFlow).
    """
    if calibration is None and any(recipe.needs_calibration for recipe in recipes):
        raise DatasetError("int8 needs representative images: give --data or --calibration DIR")
    if (contract.explicit or contract.max_class_drop_pp is not None) and validation is None:
        raise OptionError("a limit on what is lost needs validation images to measure it: give --data")
    known = metadata_of(model, declared)
    # Layer errors are measured against the float32 file, so int8 needs it too, wanted or not.
    later = tuple(recipe for recipe in recipes if recipe.precision == "int8" and keep_float)
    lowered_recipes = tuple(dict.fromkeys((FLOAT32, *(recipe for recipe in recipes if recipe not in later))))
    answered = validation.images if validation is not None else noise_images(known)
    job = Job(model, lowered_recipes, calibration.images if calibration else _no_images(), answered, declared)
    sha256 = source_sha256(model)
    with console.progress("converting") as progress:
        lowered = lower(job, progress)
    source = dataclasses.replace(lowered.metadata, source_sha256=sha256)
    reference = None
    if validation is not None:
        reference = calibrated(validation, lowered.logits[:, class_indices(validation.classes, source.labels)])
    spread = np.linspace(0, len(answered) - 1, min(PROBED, len(answered))).astype(int)
    probe = Reference(answered[spread], lowered.logits[spread])
    verifier = Verifier(source, out, contract, probe, calibration, validation, reference)
    files = dict(zip(lowered_recipes, lowered.files, strict=True))
    if later:  # the names are those of the float file, so the model is lowered once more
        kept = tensors_of(files[FLOAT32], keep_float)
        mixed = tuple(dataclasses.replace(recipe, keep_float=kept) for recipe in later)
        files |= dict(zip(mixed, lower(_without_reference(job, mixed)).files, strict=True))
        recipes = (*(recipe for recipe in recipes if recipe not in later), *mixed)
    outputs: list[Output] = []
    for recipe in recipes:
        with console.progress(f"verifying {recipe.name}") as progress:
            output = verifier.verify(files[recipe], recipe, files[FLOAT32], progress)
        if edgetpu and recipe.io == "int8" and not recipe.keep_float and not output.rejected:
            output = dataclasses.replace(output, coral=compile_file(output.path))
        outputs.append(output)
        if fix and output.breaches and output.layers:
            with console.progress("keeping layers in float") as progress:
                outputs.append(_repair(job, verifier, output, files[FLOAT32], progress))
    return Conversion(model, sha256, source, contract, tuple(outputs), reference, calibration)


def _repair(job: Job, verifier: Verifier, failed: Output, exact: bytes, progress: console.Progress) -> Output:
    """The int8 file with the fewest of its most harmful layers in float (1, 2, 4, … up to half) that keeps the limits.

    When half of them are not enough, the last one tried, rejected: a float16 file is the better choice then.
    """
    harmful = [layer.tensor for layer in failed.layers.by_harm] if failed.layers else []
    if not harmful:
        raise ModelError("no layer to keep in float was found")
    most = max(1, len(harmful) // 2)
    counts = sorted({min(2**power, most) for power in range(most.bit_length() + 1)})
    recipes = tuple(Recipe("int8", failed.recipe.io, (*failed.recipe.keep_float, *harmful[:count])) for count in counts)
    files = lower(_without_reference(job, recipes)).files
    for done, (recipe, content) in enumerate(zip(recipes, files, strict=True), 1):
        output = verifier.verify(content, recipe, exact)
        progress(done, len(recipes))
        if not output.breaches:
            break
    return output


def _without_reference(job: Job, recipes: tuple[Recipe, ...]) -> Job:
    """The job for more files of the same model, whose own answers are known already."""
    return dataclasses.replace(job, recipes=recipes, reference=_no_images())


def _no_images() -> Pixels:
    return np.zeros((0, 1, 1, 1), np.uint8)
