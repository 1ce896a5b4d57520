"""Loading never runs what a file brings along; saving leaves a whole file that every backend loads."""

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime import metadata as model_metadata
from edge_emotion.edge_runtime.errors import ModelError, OptionError, RuntimeMissingError
from edge_emotion.edge_runtime.metadata import FACE_48, ModelMetadata
from edge_emotion.train import keras_model
from edge_emotion.train.architectures import ResidualNetwork

METADATA = ModelMetadata(("happy", "sad"), FACE_48, name="test")
NETWORK = ResidualNetwork(stem=8, stages=((8, 1),))


@pytest.fixture
def saved(keras: Any, tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    keras_model.save(NETWORK.build(FACE_48, 2), path, METADATA)
    return path


def rewrite(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration inside a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.train
def test_a_saved_model_answers_the_same_and_carries_its_metadata(keras: Any, tmp_path: Path) -> None:
    model = NETWORK.build(FACE_48, 2)
    path = tmp_path / "deep" / "model.keras"
    path.parent.mkdir()
    others = path.with_name(f".model.{os.getpid() + 1}.partial.keras")  # of a process that saves there too
    others.touch()
    keras_model.save(model, path, METADATA)
    opened = keras_model.KerasClassifier.open(path)
    assert opened.metadata == METADATA
    pixels = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), dtype=np.uint8)
    before = keras_model.KerasClassifier(model, METADATA)
    np.testing.assert_array_equal(opened.logits(pixels), before.logits(pixels))
    assert opened.logits(pixels[:0]).shape == (0, 2)
    assert not hasattr(opened.model, "optimizer") or opened.model.optimizer is None
    assert {p for p in path.parent.iterdir()} == {path, others}


@pytest.mark.train
def test_a_lambda_is_refused_and_not_run(keras: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    def act(x: Any) -> Any:
        open(ran, "w").close()
        return x

    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(act)])
    assert ran.exists()  # building it runs it: loading must not
    ran.unlink()
    path = tmp_path / "lambda.keras"
    model.save(path)
    ran.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="custom code, which is never executed"):
        keras_model.load(path)
    assert not ran.exists()


@pytest.mark.train
@pytest.mark.parametrize("place", ["layer", "activation"])
def test_code_named_by_a_file_is_refused_and_not_imported(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "hostile_code.py").write_text(
        f"open({str(ran)!r}, 'w').close()\nclass Layer:\n    pass\ndef function(*a, **k):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def poison(config: dict[str, Any]) -> None:
        layer = next(item for item in config["config"]["layers"] if item["class_name"] == "Conv2D")
        hostile = {"module": "hostile_code", "registered_name": None}
        if place == "layer":
            layer.update(hostile, class_name="Layer")
        else:
            layer["config"]["activation"] = {**hostile, "class_name": "function", "config": "function"}

    rewrite(saved, poison)
    with pytest.raises(ModelError):
        keras_model.load(saved)
    assert not ran.exists()
    assert "hostile_code" not in sys.modules


def test_h5_is_refused_unopened(tmp_path: Path) -> None:
    for name in ("model.h5", "model.hdf5"):
        path = tmp_path / name
        path.write_bytes(b"\x89HDF\r\n\x1a\n")
        with pytest.raises(ModelError, match=r"save it again as \.keras"):
            keras_model.load(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        keras_model.load(tmp_path / "no.keras")
    other = tmp_path / "weights.pt"
    other.touch()
    with pytest.raises(ModelError, match=r"not a \.keras file"):
        keras_model.load(other)


@pytest.mark.train
@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_model(keras: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot load .*broken\.keras"):
        keras_model.load(path)


@pytest.mark.train
def test_a_cut_off_file(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-2000])
    with pytest.raises(ModelError):
        keras_model.KerasClassifier.open(saved)


@pytest.mark.train
def test_a_model_without_metadata_or_with_the_wrong_labels(keras: Any, tmp_path: Path) -> None:
    bare = tmp_path / "bare.keras"
    NETWORK.build(FACE_48, 2).save(bare)
    with pytest.raises(ModelError, match="says nothing of its labels"):
        keras_model.KerasClassifier.open(bare)
    model_metadata.embed_in_keras(bare, ModelMetadata(("a", "b", "c"), FACE_48))
    with pytest.raises(ModelError, match="2 outputs but 3 labels"):
        keras_model.KerasClassifier.open(bare)


def test_a_missing_backend_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError, match=r"pip install '\.\[train\]'"):
        keras_model.import_keras()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True if name == "keras" else None)
    for given in (None, ""):
        if given is not None:
            monkeypatch.setenv("KERAS_BACKEND", given)
        with pytest.raises(RuntimeMissingError, match="no backend"):
            keras_model.import_keras()


@pytest.mark.train
@pytest.mark.parametrize("backend", ["foo", "TensorFlow", "numpy"])
def test_a_backend_that_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(OptionError, match=f"KERAS_BACKEND must be tensorflow or jax or torch, got '{backend}'"):
        keras_model.import_keras()


@pytest.mark.train
def test_a_backend_that_is_not_installed_says_which_others_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(RuntimeMissingError, match=r"'jax' cannot be imported .* KERAS_BACKEND to tensorflow or torch$"):
        keras_model.import_keras()
