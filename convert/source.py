"""The model that is converted: a Keras file or a SavedModel, checked, as one TensorFlow function of one image.

Needs Keras on its TensorFlow backend: `lowering` runs it in another process where that is not what is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.classifier import are_probabilities
from ..edge_runtime.errors import ModelError
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Pixels, normalise

BATCH = 256
SIXTEEN_BITS = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
"""Keras's policies and types that compute in 16 bits, for which TFLite has no operators."""


@dataclass(frozen=True)
class Source:
    """A checked float model with one image input and one vector of outputs.

    call: float32 tensor (N, H, W, C) → outputs (N, classes), traceable by TensorFlow. batch: images a call, at most.
    """

    metadata: ModelMetadata
    call: Callable[[Any], Any]
    batch: int = BATCH

    @cached_property
    def _compiled(self) -> Any:
        import tensorflow as tf

        return tf.function(self.call, reduce_retracing=True)

    def concrete_function(self) -> Any:
        """The model as a TensorFlow function of one image: a free batch costs operators and splits delegates."""
        import tensorflow as tf

        signature = tf.TensorSpec((1, *self.metadata.input.shape), tf.float32, name="image")
        return tf.function(self.call).get_concrete_function(signature)

    def outputs(self, pixels: Pixels) -> NDArray[np.float32]:
        """Outputs, float32 (N, classes), of prepared uint8 pixels (N, H, W, C), as the model gives them."""
        import tensorflow as tf

        parts = []
        for start in range(0, len(pixels), self.batch):
            values = normalise(pixels[start : start + self.batch], self.metadata.input)
            parts.append(np.asarray(self._compiled(tf.constant(values)), np.float32))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.metadata.labels)), np.float32)


def open_source(path: Path, declared: ModelMetadata | None = None) -> Source:
    """Load and check a `.keras` file or a SavedModel folder.

    declared: labels and input of a model that carries none; for one that does, declared values win. A softmax at the
    end of a Keras model is taken off, so that the file gives logits; its `logit_bias` is added to them.
    Raises ModelError: cannot be loaded, several inputs or outputs, an input that is not one image of a known size,
    outputs that do not fit the labels, weights that are not finite, a logit bias for probabilities, operators that
    TensorFlow cannot run here.
    """
    metadata = metadata_of(path, declared)
    source = _open_saved_model(path, metadata) if path.is_dir() else _open_keras(path, metadata)
    kind = _kind_of_outputs(source, path)
    name = source.metadata.name or path.stem
    source = dataclasses.replace(source, metadata=dataclasses.replace(source.metadata, name=name, outputs=kind))
    return _biased(source, path) if source.metadata.logit_bias else source


def metadata_of(path: Path, declared: ModelMetadata | None = None) -> ModelMetadata:
    """What is declared of a model, else what its file carries.

    Raises ModelError for what is neither a Keras file nor a SavedModel, and where nothing is declared or carried.
    """
    from ..train.keras_model import refuse_h5

    if path.is_dir() and not (path / "saved_model.pb").exists():
        raise ModelError(f"{path} is neither a .keras file nor a SavedModel folder (it has no saved_model.pb)")
    if path.is_file():
        refuse_h5(path)
        if path.suffix != ".keras":
            raise ModelError(f"{path} is not a model: convert takes a .keras file or a SavedModel folder")
        if not zipfile.is_zipfile(path):
            raise ModelError(f"{path} is not a whole Keras 3 model: such a file is a zip, and this is none")
    known = declared or (model_metadata.read(path) if path.is_file() else None)
    if known is None:
        raise ModelError(f"{path} says nothing of its labels and input: give --labels and --input")
    return known


def source_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a SavedModel folder."""
    digest = hashlib.sha256()
    try:
        if path.is_file():
            digest.update(path.read_bytes())
        else:
            for member in sorted(p for p in path.rglob("*") if p.is_file()):
                digest.update(f"{member.relative_to(path).as_posix()}\0".encode())
                digest.update(hashlib.sha256(member.read_bytes()).digest())
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def _open_keras(path: Path, metadata: ModelMetadata) -> Source:
    from ..train.keras_model import load

    model = load(path)
    for kind, count in (("inputs", len(model.inputs)), ("outputs", len(model.outputs))):
        if count != 1:
            raise ModelError(f"{path} has {count} {kind}: convert takes a model with one image and one output")
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight)).all():
            raise ModelError(f"{path}: the weights of {weight.path} are not finite (NaN or infinity): train it anew")
    _check_metadata(path, metadata, tuple(model.inputs[0].shape), tuple(model.outputs[0].shape))
    model = _without_softmax(_in_float32(model))
    return Source(metadata, lambda x: model(x, training=False), _batch(path, model.inputs[0].shape[0]))


def _in_float32(model: Any) -> Any:
    """The Keras model itself, or where layers compute in 16 bits, as in mixed precision, a copy of it in float32."""
    if not any(layer.compute_dtype in SIXTEEN_BITS for layer in model._flatten_layers()):
        return model
    copy = type(model).from_config(_float32_config(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def _float32_config(config: Any) -> Any:
    """A Keras configuration with `float32` for `mixed_float16`, `bfloat16` and their like, however deep."""
    if isinstance(config, dict):
        return {key: _float32_config(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_float32_config(value) for value in config]
    return "float32" if isinstance(config, str) and config in SIXTEEN_BITS else config


def _without_softmax(model: Any) -> Any:
    """The Keras model without the softmax of its last layer: the same labels, and logits to be quantised."""
    import keras

    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax) and model.outputs[0] is last.output:
        return keras.Model(model.inputs, last.input)
    if getattr(last, "activation", None) is keras.activations.softmax and model.outputs[0] is last.output:
        if isinstance(last, keras.layers.Activation):
            return keras.Model(model.inputs, last.input)
        last.activation = keras.activations.linear
    return model


def _open_saved_model(path: Path, metadata: ModelMetadata) -> Source:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load SavedModel {path}: {' '.join(str(error).split())[:160]}") from error
    inputs, outputs = serve.structured_input_signature[1], serve.structured_outputs
    for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
        if len(tensors) != 1:
            raise ModelError(f"{path} has {len(tensors)} {kind}: convert takes a model with one image and one output")
    for variable in getattr(loaded, "variables", ()):
        if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
            raise ModelError(f"{path}: the weights of {variable.name} are not finite (NaN or infinity)")
    (input_name, tensor), (output_name, output) = next(iter(inputs.items())), next(iter(outputs.items()))
    if tensor.dtype != tf.float32:
        raise ModelError(f"{path} takes {tensor.dtype.name}: convert needs float32, whose range --input tells")
    for did, one in (("takes", tensor), ("gives", output)):
        if one.shape.rank is None:
            raise ModelError(f"{path} {did} any shape: export it with one of known rank, such as (None, 48, 48, 1)")
    _check_metadata(path, metadata, tuple(tensor.shape), tuple(output.shape))

    def call(x: Any) -> Any:
        return loaded.signatures["serving_default"](**{input_name: x})[output_name]

    return Source(metadata, call, _batch(path, tensor.shape[0]))


def _biased(source: Source, path: Path) -> Source:
    """The source with its logit bias added: TFLite's converter folds it into the last layer's."""
    if source.metadata.outputs != "logits":
        raise ModelError(f"{path} gives probabilities: a logit bias needs a model that gives logits")
    bias = np.array([source.metadata.logit_bias.get(label, 0.0) for label in source.metadata.labels], np.float32)
    plain = source.call
    return dataclasses.replace(source, call=lambda x: plain(x) + bias)


def _batch(path: Path, batch: int | None) -> int:
    if batch not in (None, 1):
        raise ModelError(f"{path} takes batches of {batch} images: convert needs a free batch or one of 1")
    return batch or BATCH


def _check_metadata(
    path: Path, metadata: ModelMetadata, shape: tuple[int | None, ...], output: tuple[int | None, ...]
) -> None:
    spec = metadata.input
    if len(shape) != 4:
        raise ModelError(f"{path} takes {shape}: convert needs one image, (batch, height, width, channels)")
    fixed = tuple(own if own is not None else wanted for own, wanted in zip(shape[1:], spec.shape, strict=True))
    if fixed != spec.shape:
        raise ModelError(
            f"{path} takes images of {shape[1:]}, but (height, width, channels) {spec.shape} is declared: see --input"
        )
    if len(output) != 2 or output[1] is None:
        raise ModelError(f"{path} gives {output}: convert needs one vector, (batch, classes)")
    if output[1] != len(metadata.labels):
        raise ModelError(f"{path} has {output[1]} outputs but {len(metadata.labels)} labels")


def _kind_of_outputs(source: Source, path: Path) -> Literal["logits", "probabilities"]:
    """Found out on noise rather than believed: rows that are not negative and sum to 1 are probabilities."""
    import tensorflow as tf

    noise = np.random.default_rng(0).integers(0, 256, (4, *source.metadata.input.shape), np.uint8)
    try:
        values = source.outputs(noise)
    except tf.errors.OpError as error:  # such as an operator that a CPU lacks
        reason = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", error.message)  # less the names of graph nodes
        raise ModelError(f"{path} cannot be run here: {' '.join(reason.split())[:300]}") from error
    if not np.isfinite(values).all():
        raise ModelError(f"{path} gives outputs that are not finite (NaN or infinity): train it anew")
    return "probabilities" if are_probabilities(values) else "logits"
