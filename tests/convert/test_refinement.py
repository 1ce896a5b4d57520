"""Networks before and after refinement: the same answers in float, better ones in int8."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from edge_emotion.convert import lowering
from edge_emotion.convert.activations import observe
from edge_emotion.convert.editing import EditableGraph
from edge_emotion.convert.graph import read_graph
from edge_emotion.convert.layers import analyse
from edge_emotion.convert.lowering import Job, lower
from edge_emotion.convert.pooling import merge_pooling
from edge_emotion.convert.ranges import narrow_summands
from edge_emotion.convert.recipes import FLOAT32, INT8
from edge_emotion.convert.refinement import refine
from edge_emotion.convert.source import open_source
from edge_emotion.edge_runtime.interpreter import Quantisation, open_interpreter
from edge_emotion.edge_runtime.metadata import FACE_48, FACE_48_CENTRED, InputSpec, ModelMetadata
from edge_emotion.edge_runtime.preprocess import normalise

from .conftest import random_images

pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
pytestmark = pytest.mark.train

SPEC = InputSpec(12, 12)
LABELS = ("a", "b", "c")
METADATA = ModelMetadata(LABELS, SPEC, name="small")


def residual(keras: Any, spec: InputSpec, wide: float = 1.0) -> Any:
    """One residual block, pooling, one dense layer; `wide` scales the summand that its ReLU6 cuts off."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input(spec.shape)
    x = layers.ReLU(6)(layers.Conv2D(8, 3, padding="same", name="stem")(image))
    y = layers.Conv2D(8, 3, padding="same", name="summand")(x)
    x = layers.ReLU(6)(layers.Add()([x, y]))
    model = keras.Model(image, layers.Dense(len(LABELS), name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))
    model.get_layer("summand").kernel.assign(model.get_layer("summand").kernel * wide)
    return model


@pytest.fixture(scope="module")
def keras() -> Any:
    from edge_emotion.train.keras_model import import_keras

    return import_keras()


@pytest.fixture(scope="module")
def small(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.keras"
    residual(keras, SPEC, wide=30).save(path)
    return path


def run(tflite: bytes, images: Any, spec: InputSpec = SPEC) -> Any:
    with open_interpreter(tflite, spec) as interpreter:
        return np.stack([interpreter(image) for image in images])


@pytest.mark.parametrize("spec", [FACE_48, FACE_48_CENTRED], ids=["0 to 1", "centred"])
def test_the_int8_input_is_the_pixel_less_128_whatever_the_calibration_images_hold(
    keras: Any, tmp_path: Path, spec: InputSpec
) -> None:
    image = keras.Input(spec.shape)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image)))
    keras.Model(image, outputs).save(tmp_path / "model.keras")
    grey = random_images(8, spec, 100, 150)  # neither black nor white
    (file,) = lower(Job(tmp_path / "model.keras", (INT8,), grey, grey, ModelMetadata(LABELS, spec))).files
    graph = read_graph(file)
    pixels = graph.tensors[graph.inputs[0]]
    quantisation = Quantisation(pixels.scales[0], pixels.zero_points[0], np.int8)
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantisation.quantise(normalise(every, spec)), every.astype(int) - 128)
    assert pixels.scales[0] == pytest.approx((spec.high - spec.low) / 255, rel=1e-6)


def test_merged_pooling_computes_the_same(small: Path) -> None:
    plain = lowering._convert(open_source(small, METADATA), FLOAT32)
    graph = EditableGraph(plain)
    assert merge_pooling(graph)
    merged = graph.pack()
    assert read_graph(plain).operator_counts.keys() == {"CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"}
    assert read_graph(merged).operator_counts.keys() == {"CONV_2D", "ADD", "RESHAPE", "FULLY_CONNECTED"}
    images = random_images(6, SPEC)
    np.testing.assert_allclose(run(merged, images), run(plain, images), rtol=1e-4, atol=1e-4)


def test_pooling_that_was_to_stay_float_is_not_merged(small: Path) -> None:
    plain = lowering._convert(open_source(small, METADATA), FLOAT32)
    graph = EditableGraph(plain)
    pooled = next(op.outputs[0] for op in graph.graph.operators if op.name == "MEAN")
    assert not merge_pooling(graph, [graph.graph.tensors[pooled].name])


def test_summands_are_narrowed_and_nothing_else(small: Path) -> None:
    images = random_images(40, SPEC)
    calibrated = lowering._convert(open_source(small, METADATA), INT8, images)
    graph = EditableGraph(calibrated)
    before = [graph.range_of(i) for i in range(len(graph.graph.tensors))]
    narrow_summands(graph, observe(calibrated, normalise(images, SPEC)))
    changed = [i for i, span in enumerate(before) if graph.range_of(i) != span]
    (addition,) = (op for op in graph.graph.operators if op.name == "ADD")
    assert len(changed) == 1
    assert changed[0] in addition.inputs
    old, new = before[changed[0]], graph.range_of(changed[0])
    assert old is not None
    assert new is not None
    assert old[0] <= new[0] < 0 < new[1] <= old[1]
    assert new[1] - new[0] < 0.7 * (old[1] - old[0])


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_of_logits_what_a_softmax_hides_gets_no_steps(small: Path, outputs: Literal["logits", "probabilities"]) -> None:
    images = random_images(20, SPEC)
    graph = EditableGraph(lowering._convert(open_source(small, METADATA), INT8, images))
    (output,) = graph.graph.outputs
    graph.set_range(output, -60.0, 3.0)
    calibrated = graph.pack()
    seen = observe(calibrated, normalise(images, SPEC))
    rng = np.random.default_rng(0)
    far = np.concatenate([rng.uniform(0, 3, (500, 2)), rng.uniform(-60, -30, (500, 1))], axis=1).astype(np.float32)
    seen = dataclasses.replace(seen, outputs={output: far})
    span = EditableGraph(refine(calibrated, seen, dataclasses.replace(METADATA, outputs=outputs))).range_of(output)
    assert span is not None
    assert (span[0] > -20.0) == (outputs == "logits")


def test_the_sum_comes_closer_to_float_than_without(small: Path) -> None:
    calibration = random_images(60, SPEC)
    source = open_source(small, METADATA)
    exact, quantiser = lowering._convert(source, FLOAT32), lowering._Quantiser(source, calibration)

    def noise_db(tflite: bytes) -> float:
        (addition,) = (layer for layer in analyse(exact, tflite, SPEC, calibration).layers if layer.operator == "ADD")
        return addition.sqnr_db

    plain = lowering._quantise(quantiser._calibrated[0], INT8)
    assert noise_db(quantiser(INT8)) > noise_db(plain) + 1  # the two biases of zero are one tensor: each needs its own


def test_on_one_image_the_corrected_dense_layer_is_exact(keras: Any, tmp_path: Path) -> None:
    """One weight of 1000 rounds all others to zero; where every image is alike, the bias makes up for all of them."""
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(image)))
    kernel = np.random.default_rng(0).uniform(-1, 1, (16, 3)).astype(np.float32)
    kernel[0, 0] = 1000
    model.get_layer("logits").set_weights([kernel, np.array([0.5, -0.5, 0.25], np.float32)])
    model.save(tmp_path / "wild.keras")
    spec = InputSpec(4, 4)
    one = random_images(1, spec)
    one[0, 0, 0] = 0  # the wild weight's pixel
    alike = np.repeat(one, 20, axis=0)
    lowered = lower(Job(tmp_path / "wild.keras", (INT8,), alike, one, ModelMetadata(LABELS, spec)))
    graph = read_graph(lowered.files[0])
    step = graph.tensors[graph.outputs[0]].scales[0]
    (dense,) = (op for op in graph.operators if op.name == "FULLY_CONNECTED")
    bias_step = graph.tensors[dense.inputs[2]].scales[0]
    np.testing.assert_allclose(run(lowered.files[0], one, spec), lowered.logits, atol=1.01 * step + bias_step / 2)
    assert np.abs(lowered.logits - [[0.5, -0.5, 0.25]]).max() > 10 * bias_step  # else it is the bias


def test_each_image_is_seen_at_the_same_places(small: Path) -> None:
    plain = lowering._convert(open_source(small, METADATA), FLOAT32)
    values = normalise(random_images(3, SPEC), SPEC)
    seen = observe(plain, values)
    graph = read_graph(plain)
    (output,) = graph.outputs
    np.testing.assert_allclose(seen.outputs[output], run(plain, random_images(3, SPEC)), rtol=1e-6)
    np.testing.assert_allclose(seen.means[graph.inputs[0]], values.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert set(np.unique(seen.samples[graph.inputs[0]])) <= set(np.unique(values))
    (addition,) = (op for op in graph.operators if op.name == "ADD")
    first, second = (seen.samples[i] for i in addition.inputs)
    np.testing.assert_allclose(seen.samples[addition.outputs[0]], np.clip(first + second, 0, 6), atol=1e-5)
    twins = observe(plain, values[[0, 0]]).samples
    for samples in twins.values():
        first, second = np.split(samples, 2)
        np.testing.assert_array_equal(first, second)
