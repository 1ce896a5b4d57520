"""TensorFlow's part of a conversion: float model in, TFLite flatbuffers and the float model's own answers out.

It needs Keras on TensorFlow. Where another backend is loaded or chosen, the same job runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime import errors
from ..edge_runtime.classifier import to_logits
from ..edge_runtime.console import Progress, quiet_native
from ..edge_runtime.errors import EdgeEmotionError, ModelError, RuntimeMissingError
from ..edge_runtime.machine import python
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Pixels, normalise
from .activations import Activations, observe
from .recipes import INT8, Recipe
from .refinement import refine
from .source import Source, open_source


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be lowered.

    declared: metadata of a model that carries none. calibration, reference: uint8 (N, H, W, C), empty when there are
    none; the float model answers for the reference images.
    """

    model: Path
    recipes: tuple[Recipe, ...]
    calibration: Pixels
    reference: Pixels
    declared: ModelMetadata | None = None


@dataclass(frozen=True, eq=False)
class Lowered:
    """Flatbuffers in the order of the recipes, the float model's logits (N, classes), and its completed metadata."""

    files: tuple[bytes, ...]
    logits: NDArray[np.float32]
    metadata: ModelMetadata


def lower(job: Job, progress: Progress | None = None) -> Lowered:
    """Run the job, here when Keras is (or can be) on TensorFlow, else in a process where it is.

    Raises ModelError for a model that cannot be converted, RuntimeMissingError without TensorFlow.
    """
    require_tensorflow()
    return _lower_here(job, progress) if _keras_is_on_tensorflow() else _lower_elsewhere(job)


def require_tensorflow() -> None:
    """Raise RuntimeMissingError when nothing could be converted."""
    if find_spec("tensorflow") is None:
        raise RuntimeMissingError.of_extra("train", "converting needs TensorFlow")


def _keras_is_on_tensorflow() -> bool:
    loaded = sys.modules.get("keras")
    if loaded is not None and hasattr(loaded, "backend"):
        return bool(loaded.backend.backend() == "tensorflow")
    return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def _lower_here(job: Job, progress: Progress | None = None) -> Lowered:
    from ..train.keras_model import import_keras

    import_keras()
    source = open_source(job.model, job.declared)
    quantiser = _Quantiser(source, job.calibration)
    files = []
    for done, recipe in enumerate(job.recipes, 1):
        files.append(quantiser(recipe) if recipe.precision == "int8" else _convert(source, recipe))
        if progress:
            progress(done, len(job.recipes))
    logits = to_logits(source.outputs(job.reference), source.metadata)
    return Lowered(tuple(files), logits, source.metadata)


class _Quantiser:
    """Makes int8 files of one source, which is calibrated once, by the first."""

    def __init__(self, source: Source, calibration: Pixels) -> None:
        self._source, self._images = source, calibration

    @cached_property
    def _calibrated(self) -> tuple[bytes, Activations]:
        flatbuffer = _convert(self._source, INT8, self._images)
        return flatbuffer, observe(flatbuffer, normalise(self._images, self._source.metadata.input))

    def __call__(self, recipe: Recipe) -> bytes:
        """The int8 flatbuffer of a recipe. Raises ModelError naming what TFLite cannot do."""
        return _quantise(refine(*self._calibrated, self._source.metadata, recipe.keep_float), recipe)


def _convert(source: Source, recipe: Recipe, calibration: Pixels | None = None) -> bytes:
    """The source as a TFLite flatbuffer; for int8 calibrated, but not yet quantised.

    calibration: uint8 (N, H, W, C), for int8 only. Raises ModelError naming what TFLite cannot do.
    """
    import tensorflow as tf

    # Without its trackable object the function is frozen and lowered directly, with no SavedModel written in between:
    # six times faster, and the only way that keeps variables of a Keras 3 model out of the file.
    function = source.concrete_function()
    operators = {op.name: op.type for op in function.graph.get_operations()}
    if calibration is not None and "While" in operators.values():
        raise ModelError(  # TensorFlow 2.21's calibrator does not raise: it ends the process
            f"TensorFlow cannot calibrate a loop{_where(operators, ['While'])}: build recurrent layers with unroll=True"
        )
    with warnings.catch_warnings(), quiet_native():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        # Per-channel dense layers are version 12 of FULLY_CONNECTED, which tflite-runtime 2.14 does not have.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        if recipe.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if recipe.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if calibration is not None:
            spec = source.metadata.input
            converter.representative_dataset = lambda: ([normalise(image[None], spec)] for image in calibration)
            converter._experimental_calibrate_only = True
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter raises ConverterError, ValueError, RuntimeError, …
            refusal = error
    raise ModelError(
        f"this model cannot be converted to {recipe.name}: {_reason(str(refusal), operators)}"
    ) from refusal


def _quantise(calibrated: bytes, recipe: Recipe) -> bytes:
    """A calibrated flatbuffer in int8, the named operators left float. Raises ModelError naming what TFLite cannot do.

    TensorFlow offers this publicly only through its QuantizationDebugger, which cannot keep dense layers per tensor.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    io = getattr(tf, recipe.io)
    with quiet_native():
        try:
            quantised = mlir_quantize(
                calibrated,
                fully_quantize=recipe.io == "int8",  # it makes input and output int8, whatever their types
                input_data_type=io,
                output_data_type=io,
                denylisted_nodes=list(recipe.keep_float),
                disable_per_channel_for_dense_layers=True,
            )
        except Exception as error:  # RuntimeError or ConverterError, as for the conversion itself
            raise ModelError(f"this model cannot be converted to {recipe.name}: {_reason(str(error), {})}") from error
    return bytes(quantised)


def _reason(text: str, operators: Mapping[str, str]) -> str:
    """What a converter's message comes down to. operators: name → type of those in the model's TensorFlow graph."""
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", text)))
    if missing:
        where = _where(operators, missing)
        return f"TFLite has no operator {', '.join(missing)}{where}: build the model from layers that TFLite has"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else "the converter gives no reason"


def _where(operators: Mapping[str, str], types: Collection[str]) -> str:
    """In brackets the first three layers that have operators of these types; empty when none has."""
    layers = [name.rpartition("/")[0] for name, kind in operators.items() if kind in types]
    return f" (layer {', '.join(layers[:3])})" if layers else ""


def _lower_elsewhere(job: Job) -> Lowered:
    """`lower` in a child process with Keras on TensorFlow; errors come back as what they were."""
    with tempfile.TemporaryDirectory(prefix="edge-emotion-convert-") as folder:
        request, answer = Path(folder, "job.npz"), Path(folder, "answer.npz")
        _save_job(job, request)
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        command = [*python(), "-m", __name__, str(request), str(answer)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not answer.exists():
            tail = " ".join(done.stderr.split())[-300:]
            raise ModelError(f"the TensorFlow process ended with code {done.returncode}: {tail}")
        return _load_answer(answer)


def _save_job(job: Job, path: Path) -> None:
    document = {
        "model": str(job.model),
        "recipes": [recipe.to_json() for recipe in job.recipes],
        "declared": job.declared.to_json() if job.declared else None,
    }
    np.savez(path, job=np.array(json.dumps(document)), calibration=job.calibration, reference=job.reference)


def _load_job(path: Path) -> Job:
    with np.load(path) as archive:
        document = json.loads(str(archive["job"]))
        return Job(
            Path(document["model"]),
            tuple(Recipe.from_json(recipe) for recipe in document["recipes"]),
            archive["calibration"],
            archive["reference"],
            ModelMetadata.from_json(document["declared"]) if document["declared"] else None,
        )


def _save_answer(result: Lowered | EdgeEmotionError, path: Path) -> None:
    if isinstance(result, EdgeEmotionError):
        np.savez(path, error=np.array([type(result).__name__, str(result)]))
        return
    files: dict[str, Any] = {f"file{i}": np.frombuffer(content, np.uint8) for i, content in enumerate(result.files)}
    metadata = np.array(json.dumps(result.metadata.to_json()))
    np.savez(path, metadata=metadata, logits=result.logits, **files)


def _load_answer(path: Path) -> Lowered:
    with np.load(path) as archive:
        if "error" in archive:
            kind, message = archive["error"]
            raise getattr(errors, str(kind), EdgeEmotionError)(str(message))
        count = sum(name.startswith("file") for name in archive.files)
        return Lowered(
            tuple(archive[f"file{i}"].tobytes() for i in range(count)),
            archive["logits"],
            ModelMetadata.from_json(json.loads(str(archive["metadata"]))),
        )


def main(arguments: list[str]) -> None:
    """The child process: job file in, answer file out."""
    request, answer = map(Path, arguments)
    try:
        result: Lowered | EdgeEmotionError = _lower_here(_load_job(request))
    except EdgeEmotionError as error:
        result = error
    _save_answer(result, answer)


if __name__ == "__main__":
    main(sys.argv[1:])
