import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.errors import EdgeEmotionError
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset
from edge_emotion.train.record import (
    check_same_models,
    check_same_run,
    describe_device,
    resumed_record,
    run_record,
    write_record,
)
from edge_emotion.train.run_data import RunData, load_data
from edge_emotion.train.runs import read_run

pytestmark = pytest.mark.train

CONFIG = TrainConfig(get_preset("tiny"), ("happy", "surprise"), limit=(4, 2))


@pytest.fixture
def data(drawn_faces: Path) -> RunData:
    return load_data(open_dataset(drawn_faces), CONFIG)


def test_a_record_says_what_the_run_was_made_of(keras: Any, data: RunData, tmp_path: Path) -> None:
    model = CONFIG.preset.architecture.build(CONFIG.preset.input, 2)
    write_record(tmp_path, run_record(CONFIG, data, keras, model))
    record = read_run(tmp_path)
    assert TrainConfig.from_json(record["config"]) == CONFIG
    assert record["data"] == json.loads(json.dumps(data.to_json()))
    assert record["device"] == describe_device(keras)
    assert record["device"].startswith("tensorflow on ")
    parameters = record["parameters"]
    assert parameters["total"] == sum(weight.size for weight in model.get_weights())
    assert parameters["non_trainable"] == sum(int(np.prod(v.shape)) for v in model.non_trainable_variables)
    assert parameters["trainable"] == parameters["total"] - parameters["non_trainable"]


def test_a_resumed_record_keeps_what_began_the_run(keras: Any, data: RunData, tmp_path: Path) -> None:
    model = CONFIG.preset.architecture.build(CONFIG.preset.input, 2)
    began = {**run_record(CONFIG, data, keras, model), "started": "then", "git_revision": "old"}
    write_record(tmp_path, {**began, "metrics": {"n": 8}, "epochs_done": 1, "best_epoch": 1})
    for sittings in (1, 2):
        record = resumed_record(tmp_path, data, keras)
        assert {key: value for key, value in record.items() if key != "resumed"} == json.loads(json.dumps(began))
        assert len(record["resumed"]) == sittings
        assert record["resumed"][-1]["started"] != "then"
        assert record["resumed"][-1]["versions"] == began["versions"]
        write_record(tmp_path, record)


def test_only_the_same_run_goes_on(data: RunData, tmp_path: Path) -> None:
    record = {"schema_version": 1, "config": CONFIG.to_json(), "data": data.to_json()}
    write_record(tmp_path, record)
    check_same_run(tmp_path, CONFIG, data)
    with pytest.raises(EdgeEmotionError, match="other settings"):
        check_same_run(tmp_path, dataclasses.replace(CONFIG, seed=5), data)
    with pytest.raises(EdgeEmotionError, match="trained on other images"):
        check_same_run(tmp_path, CONFIG, dataclasses.replace(data, train=data.train.take(np.arange(6))))
    others = dataclasses.replace(data, validation=data.validation.take(np.arange(3)))
    with pytest.raises(EdgeEmotionError, match="validated on other images"):
        check_same_run(tmp_path, CONFIG, others)
    del record["data"]["validation_sha256"]  # type: ignore[attr-defined]
    write_record(tmp_path, record)
    check_same_run(tmp_path, CONFIG, others)  # a run of before it was recorded
    with pytest.raises(EdgeEmotionError, match="not a run folder"):
        check_same_run(tmp_path / "missing", CONFIG, data)


def test_only_the_same_models_begin_a_run_again(keras: Any, data: RunData, tmp_path: Path) -> None:
    start, teacher = tmp_path / "start.keras", tmp_path / "teacher.keras"
    start.write_bytes(b"start")
    teacher.write_bytes(b"teacher")
    config = dataclasses.replace(CONFIG, initial=str(start), teachers=(str(teacher),))
    write_record(tmp_path, run_record(config, data, keras, CONFIG.preset.architecture.build(CONFIG.preset.input, 2)))
    check_same_models(tmp_path, config.models)
    teacher.unlink()
    check_same_models(tmp_path, [str(start)])
    with pytest.raises(EdgeEmotionError, match=r"began with another .*teacher\.keras"):
        check_same_models(tmp_path, config.models)
    start.write_bytes(b"other")
    with pytest.raises(EdgeEmotionError, match=r"began with another .*start\.keras"):
        check_same_models(tmp_path, [str(start)])
