import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.metadata import ModelMetadata
from edge_emotion.train.architectures import ResidualNetwork
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.folding import fold, is_normalisation
from edge_emotion.train.keras_model import KerasClassifier, save
from edge_emotion.train.network import network, starting_point, training_network
from edge_emotion.train.presets import adjusted, get_preset, quantisation_aware

pytestmark = pytest.mark.train

LABELS = ("angry", "happy", "sad")
PRESET = dataclasses.replace(get_preset("tiny"), architecture=ResidualNetwork(stem=8, stages=((8, 1),)))
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), dtype=np.uint8)


@pytest.fixture
def source(keras: Any, tmp_path: Path) -> Path:
    """A model of PRESET with weights of its own."""
    model = PRESET.architecture.build(PRESET.input, len(LABELS))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if weight.name == "moving_variance" else weight + 0.1)
    save(model, tmp_path / "source.keras", ModelMetadata(LABELS, PRESET.input, name="tiny"))
    return tmp_path / "source.keras"


def config(source: Path, classes: tuple[str, ...] = LABELS, qat: bool = True) -> TrainConfig:
    return TrainConfig(quantisation_aware(PRESET, PRESET.input), classes, initial=str(source), qat=qat)


def logits(model: Any, labels: tuple[str, ...] = LABELS) -> Any:
    return KerasClassifier(model, ModelMetadata(labels, PRESET.input)).logits(PIXELS)


@pytest.mark.parametrize("qat", [False, True])
def test_a_run_starts_with_what_the_model_says(source: Path, qat: bool) -> None:
    start = starting_point(config(source, qat=qat), source)
    np.testing.assert_allclose(logits(start), KerasClassifier.open(source).logits(PIXELS), rtol=1e-4, atol=1e-5)
    assert any(map(is_normalisation, start.layers)) != qat


@pytest.mark.parametrize("qat", [False, True])
def test_what_is_trained_has_the_variables_of_what_is_saved(source: Path, qat: bool) -> None:
    chosen = config(source, qat=qat)
    trained, saved = training_network(chosen), network(chosen)
    assert [w.path.split("/")[-2:] for w in trained.weights] == [w.path.split("/")[-2:] for w in saved.weights]
    assert [w.shape for w in trained.weights] == [w.shape for w in saved.weights]
    assert all(type(layer).__module__.startswith("keras.") for layer in saved.layers)


def test_the_result_of_one_such_run_starts_another(source: Path, tmp_path: Path) -> None:
    folded = starting_point(config(source), source)
    save(folded, tmp_path / "folded.keras", ModelMetadata(LABELS, PRESET.input, name="tiny"))
    again = starting_point(config(tmp_path / "folded.keras"), tmp_path / "folded.keras")
    for mine, theirs in zip(again.get_weights(), folded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(OptionError, match="another architecture"):
        starting_point(config(tmp_path / "folded.keras", qat=False), tmp_path / "folded.keras")


def test_some_of_the_classes_in_another_order(source: Path) -> None:
    start = starting_point(config(source, ("sad", "angry")), source)
    expected = KerasClassifier.open(source).logits(PIXELS)[:, [2, 0]]
    np.testing.assert_allclose(logits(start, ("sad", "angry")), expected, rtol=1e-4, atol=1e-5)


def test_classes_that_the_model_does_not_know(source: Path) -> None:
    with pytest.raises(OptionError, match="not with bored: train that first"):
        starting_point(config(source, ("angry", "bored")), source)


def test_another_architecture(source: Path) -> None:
    for preset in ("tiny", "edge-s"):
        with pytest.raises(OptionError, match="another architecture"):
            starting_point(dataclasses.replace(config(source), preset=get_preset(preset)), source)


def test_an_architecture_that_the_input_is_too_small_for(keras: Any) -> None:
    preset = adjusted(get_preset("seed"), ["architecture.convolutions=[8,8,8,8,8,8]"])
    with pytest.raises(OptionError, match=r"cannot be built for \(48, 48, 1\): "):
        network(TrainConfig(preset, LABELS))


@pytest.mark.parametrize("name", ["tiny", "face"])
def test_another_range_of_pixels(keras: Any, tmp_path: Path, name: str) -> None:
    preset, path = get_preset(name), tmp_path / "m.keras"
    spec = dataclasses.replace(preset.input, low=0.0, high=254.7)
    save(preset.architecture.build(spec, len(LABELS)), path, ModelMetadata(LABELS, spec, name=name))
    started = TrainConfig(preset, LABELS, initial=str(path))
    with pytest.raises(
        OptionError, match=r"from 0 to 254.7, this run from .*: --set input.low=0.0 --set input.high=254.7,"
    ):
        starting_point(started, path)
    starting_point(dataclasses.replace(started, preset=adjusted(preset, ["input.low=0.0", "input.high=254.7"])), path)
    wider = dataclasses.replace(preset, input=dataclasses.replace(spec, width=64))  # a size may differ
    starting_point(dataclasses.replace(started, preset=wider), path)


@pytest.mark.parametrize("name", ["edge-m", "edge-s"])
def test_a_bundled_model_starts_its_preset(keras: Any, name: str) -> None:
    path = Path(__file__).parents[2] / "train" / "models" / f"{name}.keras"
    classes = KerasClassifier.open(path).metadata.labels
    starting_point(TrainConfig(get_preset(name), classes, initial=str(path)), path)


def test_a_network_that_cannot_be_folded(source: Path) -> None:
    with pytest.raises(OptionError, match="'conv1_norm' does not directly follow a convolution"):
        training_network(dataclasses.replace(config(source), preset=get_preset("seed")))


def test_a_folded_network_is_of_the_architecture(source: Path) -> None:
    built = fold(PRESET.architecture.build(PRESET.input, 3))
    assert [layer.name for layer in network(config(source)).layers] == [layer.name for layer in built.layers]
