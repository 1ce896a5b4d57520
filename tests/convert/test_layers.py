from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.convert.layers import NO_ERROR_DB, LayerReport, analyse, plot, short_name, sqnr_db, tensors_of
from edge_emotion.convert.lowering import Job, lower
from edge_emotion.convert.recipes import FLOAT32, INT8
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.metadata import FACE_48, ModelMetadata

from .conftest import LABELS, MODELS, SPEC, random_images, shades

pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert")


def test_sqnr_of_known_signals() -> None:
    assert sqnr_db(np.array([3.0, 4.0]), np.array([0.0, 0.5])) == pytest.approx(20)
    assert sqnr_db(np.ones(4), np.zeros(4)) == NO_ERROR_DB
    assert sqnr_db(np.zeros(4), np.ones(4)) == -NO_ERROR_DB
    assert sqnr_db(np.zeros(0), np.zeros(0)) == NO_ERROR_DB


def test_a_full_scale_ramp_has_six_decibels_a_bit() -> None:
    """Rounding a uniform signal to n bits leaves 6.02·n dB (quantisation noise of step²/12)."""
    ramp = np.linspace(-1, 1, 100_001)
    for bits in (6, 8, 10):
        step = 2 / 2**bits
        assert sqnr_db(ramp, np.rint(ramp / step) * step - ramp) == pytest.approx(6.02 * bits, abs=0.1)


def test_the_last_layers_error_is_that_of_the_whole_file() -> None:
    """Measured again through the classifier, in float64."""
    exact, rounded = ((MODELS / f"brightness-{p}.tflite").read_bytes() for p in ("float32", "int8"))
    images = random_images(16, FACE_48)
    report = analyse(exact, rounded, FACE_48, images)
    signal, given = (EmotionClassifier(content).logits(images).astype(np.float64) for content in (exact, rounded))
    expected = 10 * np.log10((signal**2).sum() / ((given - signal) ** 2).sum())
    assert report.n == 16
    assert report.layers[-1].operator == "FULLY_CONNECTED"
    assert report.layers[-1].sqnr_db == pytest.approx(expected, abs=0.01)
    assert report.layers[-1].weight_range == pytest.approx((-8, 8))
    assert report.layers[-1].observed_range == pytest.approx((signal.min(), signal.max()), abs=1e-5)


def test_a_file_against_itself_has_no_error() -> None:
    exact = (MODELS / "brightness-float32.tflite").read_bytes()
    report = analyse(exact, exact, FACE_48, np.full((2, 48, 48, 1), 99, np.uint8))
    assert {layer.sqnr_db for layer in report.layers} == {NO_ERROR_DB}
    assert report.by_harm == ()  # nothing in it is quantised


def test_files_of_different_models_are_refused() -> None:
    exact = (MODELS / "brightness-float32.tflite").read_bytes()
    renamed = exact
    for name in (b"MatMul", b"Mean", b"Identity"):
        renamed = renamed.replace(name, name[::-1])
    with pytest.raises(ModelError, match="no layer in common"):
        analyse(exact, renamed, FACE_48, np.zeros((1, 48, 48, 1), np.uint8))


@pytest.fixture(scope="module")
def one_bad_layer(tmp_path_factory: pytest.TempPathFactory) -> LayerReport:
    """Three dense layers, of which the second has a weight so large that int8 loses its others."""
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    from edge_emotion.train.keras_model import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x: Any = keras.layers.Flatten()(inputs)
    for name in ("first", "bad", "last"):
        x = keras.layers.Dense(3 if name == "last" else 16, activation=None if name == "last" else "relu", name=name)(x)
    model = keras.Model(inputs, x)
    weights = model.get_weights()
    weights[0][:, 0] = 0  # the first unit is always 0, so its weight in the next layer changes nothing
    weights[2][0, 0] = 1000
    model.set_weights(weights)
    path = tmp_path_factory.mktemp("layers") / "model.keras"
    model.save(path)
    images = shades("train", 20, 0).images
    exact, rounded = lower(Job(path, (FLOAT32, INT8), images, images, ModelMetadata(LABELS, SPEC))).files
    return analyse(exact, rounded, SPEC, images)


@pytest.mark.train
def test_the_bad_layer_is_named_first(one_bad_layer: LayerReport) -> None:
    assert [layer.name for layer in one_bad_layer.layers if layer.weight_range] == ["first", "bad", "last"]
    worst = one_bad_layer.by_harm[0]
    assert worst.name == "bad"
    assert worst.sqnr_db < 3 < 25 < one_bad_layer.layers[0].sqnr_db
    assert worst.weight_range is not None
    assert worst.weight_range[1] == pytest.approx(1000)


@pytest.mark.train
def test_the_report_is_json_and_a_picture(one_bad_layer: LayerReport) -> None:
    pytest.importorskip("matplotlib", reason="needs the train extra (matplotlib)")
    document = json.loads(json.dumps(one_bad_layer.to_json(), allow_nan=False))
    assert document["by_harm"][0] == one_bad_layer.by_harm[0].tensor
    picture = cv2.imdecode(np.frombuffer(plot(one_bad_layer, "title"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert (picture[..., 2].astype(int) - picture[..., 0] > 80).any()  # something is marked red


@pytest.mark.train
def test_all_layers_of_a_name_are_found(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    from edge_emotion.train.keras_model import import_keras

    keras = import_keras()

    def block(name: str) -> Any:
        conv = keras.layers.Conv2D(1, 3, padding="same", activation="relu", name="conv")
        return keras.Sequential([keras.Input((8, 8, 1)), conv], name=name)

    head = (keras.layers.Flatten(), keras.layers.Dense(3, name="head"))
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((8, 8, 1)), block("first"), block("second"), *head]).save(path)
    nothing = np.zeros((0, 8, 8, 1), np.uint8)
    (exact,) = lower(Job(path, (FLOAT32,), nothing, nothing, ModelMetadata(LABELS, SPEC))).files
    found = tensors_of(exact, ("head", "conv"))
    assert len(found) == 3
    for place, name in zip(found[1:], ("first", "second"), strict=True):
        assert f"/{name}_1/conv_1/" in place


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("residual_1/stem_relu_1/Relu6;residual_1/stem_norm_1/add;residual_1/stem_1/convolution;x/sub1", "stem"),
        ("model_1/pool_1/Mean", "pool"),
        ("Identity", "Identity"),
        ("", ""),
    ],
)
def test_short_names(tensor: str, name: str) -> None:
    assert short_name(tensor) == name
