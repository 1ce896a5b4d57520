import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from edge_emotion.edge_runtime.dataset import Split, open_dataset
from edge_emotion.edge_runtime.errors import DatasetError
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.drawn_faces import write_dataset
from edge_emotion.train.presets import get_preset
from edge_emotion.train.run_data import RunData, load_data

CONFIG = TrainConfig(get_preset("tiny"), ("happy", "surprise"))


@pytest.fixture
def data(drawn_faces: Path) -> RunData:
    return load_data(open_dataset(drawn_faces), CONFIG)


def test_a_limit_holds_for_each_class(drawn_faces: Path) -> None:
    dataset = open_dataset(drawn_faces)
    both = load_data(dataset, dataclasses.replace(CONFIG, limit=(5, 2)))
    assert set(both.train.counts.values()) == {5}
    assert set(both.validation.counts.values()) == {2}
    assert set(load_data(dataset, dataclasses.replace(CONFIG, limit=(5, None))).validation.counts.values()) == {4}


def test_a_copy_of_a_validation_image_that_the_limit_left_out_is_not_trained_on(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "faces", 4, 3, classes=("happy", "surprise"))
    for held in (root / "validation" / "happy").iterdir():
        shutil.copy(held, root / "train" / "happy" / f"copy-{held.name}")
    data = load_data(open_dataset(root), dataclasses.replace(CONFIG, limit=(100, 1)))
    assert data.findings is not None
    assert data.findings.counts()["leaks"] == 3
    assert not any("copy" in file for file in data.train.files)
    assert len(data.validation) == 2


def test_the_record_names_the_images_by_hash(data: RunData, drawn_faces: Path) -> None:
    record = json.loads(json.dumps(data.to_json()))
    assert record["path"] == str(drawn_faces.resolve())
    assert (record["train_sha256"], record["validation_sha256"]) == (data.train.sha256, data.validation.sha256)
    assert record["left_out"] == {"blanks": 0, "repeats": 0, "conflicts": 0, "leaks": 0}
    fewer = dataclasses.replace(data, validation=data.validation.take(data.validation.labels == 0), findings=None)
    other = fewer.to_json()
    assert other["validation_files_sha256"] != record["validation_files_sha256"]
    assert other["left_out"] is None


def test_a_class_missing_in_validation_is_named(data: RunData, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object, split: str, *args: object) -> Split:
        whole = data.train if split == "train" else data.validation
        return whole.take(whole.labels == 0) if split == "validation" else whole

    monkeypatch.setattr("edge_emotion.edge_runtime.dataset.Dataset.load", load)
    with pytest.raises(DatasetError, match="validation split has no image of surprise"):
        load_data(data.dataset, CONFIG)
