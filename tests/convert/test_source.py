"""Models that this project did not train: what is taken, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.convert import lowering
from edge_emotion.convert.graph import read_graph
from edge_emotion.convert.lowering import Job, lower
from edge_emotion.convert.recipes import FLOAT32, INT8, Recipe
from edge_emotion.convert.source import open_source, source_sha256
from edge_emotion.edge_runtime import errors
from edge_emotion.edge_runtime.errors import ModelError, RuntimeMissingError
from edge_emotion.edge_runtime.interpreter import open_interpreter
from edge_emotion.edge_runtime.metadata import InputSpec, ModelMetadata
from edge_emotion.edge_runtime.metrics import softmax

from .conftest import random_images

pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
pytestmark = pytest.mark.train

GREY = ModelMetadata(("a", "b"), InputSpec(8, 8), name="foreign")
RGB = ModelMetadata(("a", "b"), InputSpec(12, 10, "rgb", -1.0, 1.0))
NONE = np.zeros((0, 8, 8, 1), np.uint8)


@pytest.fixture(scope="module")
def keras() -> Any:
    from edge_emotion.train.keras_model import import_keras

    return import_keras()


def network(keras: Any, shape: tuple[int | None, ...], *last: Any, batch: int | None = None) -> Any:
    keras.utils.set_random_seed(3)
    inputs = keras.Input(batch_shape=(batch, *shape))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


def save(model: Any, tmp_path: Path, name: str = "model") -> Path:
    path = tmp_path / f"{name}.keras"
    model.save(path)
    return path


def test_any_size_colour_and_range(keras: Any, tmp_path: Path) -> None:
    model = network(keras, (None, None, 3), keras.layers.Dense(2))
    source = open_source(save(model, tmp_path), RGB)
    images = random_images(5, RGB.input)
    expected = model.predict(images.astype(np.float32) / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(source.outputs(images), expected, atol=1e-4)
    assert source.metadata.name == "model"
    assert source.concrete_function().inputs[0].shape == (1, 10, 12, 3)


@pytest.mark.parametrize("style", ["activation", "layer", "activation layer"])
def test_a_softmax_at_the_end_is_taken_off(keras: Any, tmp_path: Path, style: str) -> None:
    layers = keras.layers
    last = {
        "activation": [layers.Dense(2, activation="softmax")],
        "layer": [layers.Dense(2), layers.Softmax()],
        "activation layer": [layers.Dense(2), layers.Activation("softmax")],
    }[style]
    model = network(keras, (8, 8, 1), *last)
    images = random_images(5, GREY.input)
    probabilities = model.predict(images.astype(np.float32) / 255, verbose=0)
    source = open_source(save(model, tmp_path), GREY)
    assert source.metadata.outputs == "logits"
    logits = source.outputs(images)
    assert not np.allclose(logits.sum(axis=1), 1)
    np.testing.assert_allclose(softmax(logits), probabilities, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_network_that_computes_in_16_bits_is_converted_in_float32(keras: Any, tmp_path: Path, policy: str) -> None:
    layers, before = keras.layers, keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inner = keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()])
        model = keras.Sequential([keras.Input((8, 8, 1)), inner, layers.Flatten(), layers.Dense(2)])
        path = save(model, tmp_path)
    finally:
        keras.config.set_dtype_policy(before)
    images = random_images(5, GREY.input)
    expected = model.predict(images.astype(np.float32) / 255, verbose=0)
    lowered = lower(Job(path, (FLOAT32, INT8), images, images, GREY))
    np.testing.assert_allclose(lowered.logits, expected, atol=0.02)
    assert not {"CAST", "QUANTIZE"} & set(read_graph(lowered.files[0]).operator_counts)


def test_a_saved_model_converts_to_the_same_answers(keras: Any, tmp_path: Path) -> None:
    model = network(keras, (10, 12, 3), keras.layers.Dense(2))
    model.export(tmp_path / "saved", verbose=False)
    images = random_images(5, RGB.input)
    lowered = lower(Job(tmp_path / "saved", (FLOAT32,), NONE, images, RGB))
    np.testing.assert_allclose(
        lowered.logits, model.predict(images.astype(np.float32) / 127.5 - 1, verbose=0), atol=1e-4
    )
    assert lowered.files[0][4:8] == b"TFL3"
    assert len(source_sha256(tmp_path / "saved")) == 64


def test_probabilities_of_a_saved_model_are_noticed(keras: Any, tmp_path: Path) -> None:
    network(keras, (8, 8, 1), keras.layers.Dense(2, activation="softmax")).export(tmp_path / "saved", verbose=False)
    assert open_source(tmp_path / "saved", GREY).metadata.outputs == "probabilities"
    with pytest.raises(ModelError, match="needs a model that gives logits"):
        open_source(tmp_path / "saved", dataclasses.replace(GREY, logit_bias={GREY.labels[0]: 0.3}))


@pytest.mark.parametrize(
    ("takes", "gives", "said"),
    [
        (((None, 8, 8, 1), "uint8"), [None, 2], "takes uint8: convert needs float32"),
        ((None, "float32"), [None, 2], "takes any shape"),
        (((None, 8, 8, 1), "float32"), None, "gives any shape"),
    ],
)
def test_a_saved_model_of_another_type_or_of_no_rank(tmp_path: Path, takes: Any, gives: Any, said: str) -> None:
    import tensorflow as tf

    def mean(image: Any) -> Any:
        flat = tf.reshape(tf.cast(image, tf.float32), (-1, 64))[:, :2]
        return {"o": tf.ensure_shape(flat, gives) if gives else tf.py_function(lambda x: x, [flat], tf.float32)}

    function = tf.function(mean, input_signature=[tf.TensorSpec(*takes)])
    module = tf.Module()
    module.serve = function
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serving_default": function})
    with pytest.raises(ModelError, match=said):
        open_source(tmp_path / "saved", GREY)


def test_a_logit_bias_becomes_part_of_the_last_layer(keras: Any, tmp_path: Path) -> None:
    path = save(network(keras, (8, 8, 1), keras.layers.Dense(2)), tmp_path)
    images = random_images(5, GREY.input)
    biased = dataclasses.replace(GREY, logit_bias={GREY.labels[1]: 0.5})
    plain, moved = (lower(Job(path, (FLOAT32, INT8), images, images, declared)) for declared in (GREY, biased))
    np.testing.assert_allclose(moved.logits, plain.logits + np.array([0, 0.5]), atol=1e-6)
    assert moved.metadata.logit_bias == {GREY.labels[1]: 0.5}
    for before, after in zip(plain.files, moved.files, strict=True):
        assert read_graph(after).operator_counts == read_graph(before).operator_counts
    with open_interpreter(moved.files[1], GREY.input) as interpreter:
        rounded = np.stack([interpreter(image) for image in images])
    np.testing.assert_allclose(rounded, moved.logits, atol=0.05)


def two_inputs(keras: Any) -> Any:
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    return keras.Model([a, b], keras.layers.Dense(2)(keras.layers.Flatten()(a + b)))


def two_outputs(keras: Any) -> Any:
    a = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(a)
    return keras.Model(a, [keras.layers.Dense(2)(flat), keras.layers.Dense(2)(flat)])


def not_finite(keras: Any) -> Any:
    model = network(keras, (8, 8, 1), keras.layers.Dense(2, name="broken"))
    weights = model.get_weights()
    weights[-2][0, 0] = np.nan
    model.set_weights(weights)
    return model


def image_out(keras: Any) -> Any:
    a = keras.Input((8, 8, 1))
    return keras.Model(a, keras.layers.Conv2D(2, 3)(a))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (two_inputs, "has 2 inputs"),
        (two_outputs, "has 2 outputs"),
        (not_finite, "weights of broken/kernel are not finite"),
        (image_out, "convert needs one vector"),
        (lambda keras: network(keras, (8, 8, 1), keras.layers.Dense(3)), "3 outputs but 2 labels"),
        (lambda keras: network(keras, (9, 8, 1), keras.layers.Dense(2)), r"takes images of \(9, 8, 1\).*see --input"),
        (lambda keras: network(keras, (8, 8, 1), keras.layers.Dense(2), batch=4), "takes batches of 4"),
        (
            lambda keras: keras.Sequential([keras.Input((64,)), keras.layers.Dense(2)]),
            r"needs one image, \(batch, height, width, channels\)",
        ),
    ],
    ids=["inputs", "outputs", "nan", "image", "labels", "size", "batch", "vector"],
)
def test_what_does_not_fit_is_one_clear_line(keras: Any, tmp_path: Path, make: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        open_source(save(make(keras), tmp_path), GREY)


@pytest.mark.parametrize("saved", [False, True])
def test_a_model_that_fails_while_it_runs_is_one_clear_line(keras: Any, tmp_path: Path, saved: bool) -> None:
    layers, path = keras.layers, tmp_path / "saved"
    inputs = keras.Input((8, 8, 1))
    looked_up = layers.Embedding(2, 4)(layers.Flatten()(layers.Rescaling(1000.0)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(looked_up)))
    if saved:
        model.export(path, verbose=False)
    else:
        path = save(model, tmp_path)
    with pytest.raises(ModelError, match=r"cannot be run here: .*indices\[.*\] = .* is not in \[0, 2\)") as refusal:
        open_source(path, GREY)
    assert not re.search(r"\n|\{\{|\[\[|Op:", str(refusal.value))  # no names of graph nodes


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "photo.jpg").write_text("no model")
    for name, said in (
        ("text.keras", "not a whole Keras 3 model"),
        ("old.h5", "does not exist"),
        ("photo.jpg", r"photo\.jpg is not a model: convert takes"),
        ("", "saved_model.pb"),
    ):
        with pytest.raises(ModelError, match=said):
            open_source(tmp_path / name, GREY)


def test_an_operator_that_tflite_lacks_is_named_with_its_layer(keras: Any, tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    x = keras.ops.erfinv(keras.layers.Dense(2, activation="tanh")(keras.layers.Flatten()(inputs)))
    path = save(keras.Model(inputs, x), tmp_path)
    with pytest.raises(ModelError, match=r"no operator Erfinv \(layer .*erfinv\)"):
        lower(Job(path, (FLOAT32,), NONE, NONE, GREY))


def test_recurrent_layers_are_quantised_unrolled_and_refused_in_a_loop(keras: Any, tmp_path: Path) -> None:
    def job(unroll: bool) -> Job:
        recurrent = keras.layers.GRU(2, unroll=unroll, name="memory")
        path = save(network(keras, (8, 8, 1), keras.layers.Reshape((2, 2)), recurrent, keras.layers.Dense(2)), tmp_path)
        return Job(path, (INT8,), random_images(2, GREY.input), NONE, GREY)

    with pytest.raises(ModelError, match=r"cannot calibrate a loop \(layer .*memory.*\): .*unroll=True"):
        lower(job(unroll=False))
    assert lower(job(unroll=True)).files[0]


def test_under_another_backend_the_work_is_done_in_a_process_of_its_own(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(network(keras, (8, 8, 1), keras.layers.Dense(2)), tmp_path)
    images = random_images(5, GREY.input)
    job = Job(path, (FLOAT32, Recipe("int8", "int8")), images, images, GREY)
    here = lower(job)
    monkeypatch.setattr(lowering, "_keras_is_on_tensorflow", lambda: False)
    elsewhere = lower(job)
    assert elsewhere.metadata == here.metadata
    np.testing.assert_allclose(elsewhere.logits, here.logits, atol=1e-5)
    assert [len(file) for file in elsewhere.files] == [len(file) for file in here.files]
    with pytest.raises(ModelError, match="2 outputs but 3 labels"):
        lower(Job(path, (FLOAT32,), NONE, NONE, ModelMetadata(("a", "b", "c"), InputSpec(8, 8))))


def test_errors_cross_the_process_boundary_as_themselves(tmp_path: Path) -> None:
    path = tmp_path / "answer.npz"
    lowering._save_answer(errors.DatasetError("no images: add some"), path)
    with pytest.raises(errors.DatasetError, match="no images: add some"):
        lowering._load_answer(path)


def test_without_tensorflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError, match=r"pip install '\.\[train\]'"):
        lower(Job(Path("model.keras"), (FLOAT32,), NONE, NONE))
