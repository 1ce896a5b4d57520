from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import ModelError, OptionError
from edge_emotion.edge_runtime.metadata import FACE_48, ModelMetadata
from edge_emotion.train import transfer as module
from edge_emotion.train.architectures import ResidualNetwork
from edge_emotion.train.keras_model import KerasClassifier, save
from edge_emotion.train.presets import fine_tuning, get_preset
from edge_emotion.train.transfer import read_metadata, resolve_source, transfer

NETWORK = ResidualNetwork(stem=8, stages=((8, 1),))
LABELS = ("angry", "happy", "sad")


@pytest.fixture
def source(keras: Any) -> KerasClassifier:
    return KerasClassifier(NETWORK.build(FACE_48, 3), ModelMetadata(LABELS, FACE_48, name="old"))


@pytest.mark.train
def test_other_classes_in_another_order_keep_their_outputs(source: KerasClassifier) -> None:
    classes = ("sad", "bored", "angry")
    model = NETWORK.build(FACE_48, 3)
    fresh = model.layers[-1].get_weights()[0][:, 1]
    assert transfer(model, classes, source) == ["bored"]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), dtype=np.uint8)
    new = KerasClassifier(model, ModelMetadata(classes, FACE_48)).logits(pixels)
    np.testing.assert_allclose(new[:, [2, 0]], source.logits(pixels)[:, [0, 2]], rtol=1e-5)
    np.testing.assert_array_equal(model.layers[-1].get_weights()[0][:, 1], fresh)


@pytest.mark.train
def test_a_class_in_another_case_is_the_same(source: KerasClassifier) -> None:
    model = NETWORK.build(FACE_48, 3)
    assert transfer(model, ("Sad", "Bored", "ANGRY"), source) == ["Bored"]
    columns = model.layers[-1].get_weights()[0][:, [0, 2]]
    np.testing.assert_array_equal(columns, source.model.layers[-1].get_weights()[0][:, [2, 0]])


@pytest.mark.train
def test_another_number_of_classes(source: KerasClassifier) -> None:
    model = NETWORK.build(FACE_48, 2)
    assert transfer(model, ("happy", "surprise"), source) == ["surprise"]
    np.testing.assert_array_equal(
        model.layers[-1].get_weights()[0][:, 0], source.model.layers[-1].get_weights()[0][:, 1]
    )


@pytest.mark.train
@pytest.mark.parametrize(
    "network", [ResidualNetwork(16, ((8, 1),)), ResidualNetwork(8, ((8, 2),)), ResidualNetwork(8, ((16, 1),))]
)
def test_another_architecture_is_refused(source: KerasClassifier, network: ResidualNetwork) -> None:
    with pytest.raises(OptionError, match="old has another architecture"):
        transfer(network.build(FACE_48, 3), LABELS, source)


@pytest.mark.train
def test_a_deeper_source_is_refused(keras: Any) -> None:
    deeper = KerasClassifier(ResidualNetwork(8, ((8, 2),)).build(FACE_48, 3), ModelMetadata(LABELS, FACE_48))
    with pytest.raises(OptionError, match=r"the model has another architecture: layer '\w+' has no counterpart"):
        transfer(NETWORK.build(FACE_48, 3), LABELS, deeper)


def test_sources_are_found_by_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOURCES", (tmp_path / "installed", Path("train", "models")))  # not from a clone
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"in the repository only: .* train/models/edge-m.keras"):
        resolve_source("edge-m")
    (tmp_path / "train" / "models").mkdir(parents=True)
    (tmp_path / "train" / "models" / "edge-m.keras").touch()
    assert resolve_source("edge-m") == Path("train", "models", "edge-m.keras")
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "edge-m.keras").touch()
    assert resolve_source("edge-m") == tmp_path / "installed" / "edge-m.keras"
    assert resolve_source("elsewhere/model.keras") == Path("elsewhere/model.keras")
    with pytest.raises(ModelError, match="edge-m"):
        resolve_source("edge-n")


@pytest.mark.train
def test_metadata_to_start_from(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(ModelError, match="does not exist"):
        read_metadata(path)
    model = NETWORK.build(FACE_48, 3)
    model.save(path)
    with pytest.raises(ModelError, match="does not say how it was trained"):
        read_metadata(path)
    save(model, path, ModelMetadata(LABELS, FACE_48, name="edge-m"))
    recipe = fine_tuning(get_preset(read_metadata(path).name), read_metadata(path).input)
    assert recipe.input == FACE_48
    assert recipe.learning_rate < get_preset("edge-m").learning_rate
