import dataclasses
import json
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset


@pytest.mark.parametrize("limit", [None, (400, 160), (400, None)])
def test_recorded_settings_read_back_equal(limit: tuple[int, int | None] | None) -> None:
    config = TrainConfig(get_preset("seed"), ("angry", "happy"), 3, "mixed_bfloat16", limit)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "document", [{}, {"preset": get_preset("tiny").to_json()}, {"preset": {}, "classes": [], "limit": None}]
)
def test_malformed_settings_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="malformed"):
        TrainConfig.from_json(document)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionError, match="mixed_bfloat16"):
        TrainConfig(get_preset("tiny"), ("a", "b"), precision="int4")


def test_soft_labels_are_recorded_and_a_run_of_before_them_reads_on() -> None:
    config = TrainConfig(
        get_preset("tiny"), ("a", "b"), initial="m.keras", teachers=("t.keras", "u.tflite"), votes="v.csv"
    )
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.models == ("t.keras", "u.tflite", "m.keras")
    old = {k: v for k, v in config.to_json().items() if k in ("preset", "classes", "seed", "precision", "limit")}
    assert TrainConfig.from_json(old).models == ()
    assert TrainConfig.from_json(old).teacher_views == 0


def test_images_come_again_where_teachers_are_asked_about_augmented_ones() -> None:
    tiny = get_preset("tiny")
    assert TrainConfig(tiny, ("a", "b"), teachers=("t.keras",), teacher_views=3).views == 3
    assert TrainConfig(tiny, ("a", "b"), teachers=("t.keras",), teacher_views=99).views == tiny.epochs
    assert TrainConfig(tiny, ("a", "b"), teacher_views=3).views == 0
    still = dataclasses.replace(tiny, augmentation=None)
    assert TrainConfig(still, ("a", "b"), teachers=("t.keras",), teacher_views=3).views == 0
    with pytest.raises(OptionError, match="views of teachers are 0 or more"):
        TrainConfig(tiny, ("a", "b"), teacher_views=-1)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.1])
@pytest.mark.parametrize("name", ["teacher_weight", "votes_weight"])
def test_a_weight_outside_its_range_is_refused(name: str, weight: float) -> None:
    with pytest.raises(OptionError, match="weight of the"):
        TrainConfig(get_preset("tiny"), ("a", "b"), **{name: weight})  # type: ignore[arg-type]
