import dataclasses
import json
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import EdgeEmotionError, OptionError
from edge_emotion.train.presets import PRESETS, Preset, get_preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_recorded_preset_reads_back_equal(name: str) -> None:
    preset = get_preset(name)
    assert Preset.from_json(json.loads(json.dumps(preset.to_json()))) == preset


@pytest.mark.parametrize(
    ("key", "value"),
    [("architecture", {"kind": "Transformer"}), ("architecture", {}), ("batch_size", 0), ("colour", "blue")],
)
def test_a_malformed_record_is_refused(key: str, value: object) -> None:
    with pytest.raises(OptionError):
        Preset.from_json({**get_preset("tiny").to_json(), key: value})


def test_the_slides_recipe() -> None:
    seed = get_preset("seed")
    assert (seed.optimizer, seed.learning_rate, seed.batch_size, seed.epochs) == ("rmsprop", 1e-4, 50, 200)
    assert seed.augmentation is None
    assert (seed.schedule, seed.label_smoothing, seed.average_momentum) == ("constant", 0.0, None)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean edge-m"):
        get_preset("edgem")


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch_size": 0}, {"label_smoothing": 1.0}])
def test_impossible_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EdgeEmotionError):
        dataclasses.replace(get_preset("tiny"), **change)
