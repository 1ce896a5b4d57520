import dataclasses
import json
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import EdgeEmotionError, OptionError
from edge_emotion.edge_runtime.metadata import FACE_48
from edge_emotion.train.augment import Augmentation
from edge_emotion.train.presets import PRESETS, Preset, adjusted, fine_tuning, get_preset, quantisation_aware


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


@pytest.mark.parametrize("change", [{"epochs": 0}, {"schedule": "step"}, {"batch_size": 0}, {"label_smoothing": 1.0},
                                    {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"warmup_epochs": -1},
                                    {"weight_decay": -1.0}, {"average_momentum": 1.0}, {"average_momentum": -0.1},
                                    {"class_balance": -1.0}, {"class_balance": 1.1}, {"mixup": float("inf")},
                                    {"schedule": "constant"}])  # fmt: skip
def test_impossible_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EdgeEmotionError):
        dataclasses.replace(get_preset("tiny"), **change)


def test_settings_replace_those_of_the_preset() -> None:
    preset = adjusted(
        get_preset("edge-s"), ["mixup=0.2", "augmentation.erase=0", "augmentation.flip=false", "optimizer=rmsprop",
                               "architecture.stages=[[8, 1], [16, 2]]", "clean=false"]
    )  # fmt: skip
    assert (preset.mixup, preset.augmentation.erase, preset.augmentation.flip) == (0.2, 0.0, False)  # type: ignore[union-attr]
    assert (preset.optimizer, preset.clean) == ("rmsprop", False)
    assert preset.architecture.stages == ((8, 1), (16, 2))  # type: ignore[union-attr]
    assert adjusted(get_preset("edge-s"), []) == get_preset("edge-s")
    assert adjusted(get_preset("seed"), ["average_momentum=0.9"]).average_momentum == 0.9
    assert adjusted(get_preset("edge-s"), ["average_momentum=null"]).average_momentum is None
    assert adjusted(get_preset("seed"), ['augmentation={"erase": 0.1}']).augmentation == Augmentation(erase=0.1)


@pytest.mark.parametrize("setting", ["average_momentum=abc", "average_momentum=true", "augmentation=5"])
def test_a_setting_that_is_null_takes_only_its_kind(setting: str) -> None:
    with pytest.raises(OptionError, match="is null in seed and cannot be"):
        adjusted(get_preset("seed"), [setting])


@pytest.mark.parametrize("name", PRESETS)
def test_no_recipe_warms_up_for_more_than_half_of_its_run(name: str) -> None:
    preset = get_preset(name)
    for recipe in (preset, fine_tuning(preset, FACE_48), quantisation_aware(preset, FACE_48)):
        assert 2 * recipe.warmup_epochs <= recipe.epochs


@pytest.mark.parametrize("name", PRESETS)
def test_fine_tuning_is_gentle_whatever_trained_the_network(name: str) -> None:
    recipe = fine_tuning(get_preset(name), FACE_48)
    assert (recipe.input, recipe.optimizer, recipe.schedule, recipe.learning_rate) == (FACE_48, "sgd", "cosine", 0.01)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mixup", "NAME=VALUE"),
        ("mixupp=0.2", "a setting of edge-s"),
        ("augmentation.mixup=0.2", "flip, rotation"),
        ("mixup.deep=1", "a setting of edge-s"),
        ("mixup=much", "cannot be 'much'"),
        ("name=../../x", "name must be a plain name"),
        ('augmentation={"erase": "x"}', "augmentation.erase must be from 0 to 1, got 'x'"),
        ('augmentation={"flip": "x"}', "augmentation.flip must be true or false, got 'x'"),
        ('augmentation={"bogus": 1}', "malformed preset: .*bogus"),
        ("epochs=1.5", "cannot be '1.5'"),
        ("epochs=true", "cannot be 'true'"),
        ("optimizer=adam", "rmsprop or sgd"),
        ("architecture.kind=Transformer", "SlidesNetwork or ResidualNetwork or MobileNet, got 'Transformer'"),
        ("architecture.stem=0", "architecture.stem takes whole numbers from 1 up"),
        ("architecture.stages=[[16, 0]]", "architecture.stages takes whole numbers"),
        ("architecture.stages=[[16, 1.5]]", "architecture.stages takes whole numbers"),
        ("architecture.stages=[[16]]", "pairs of channels and blocks"),
        ("architecture.stages=[16]", "pairs of channels and blocks"),
        ("mixup=-1", "mixup must be at least 0, got -1.0"),
        ("average_momentum=2", "average_momentum must be from 0 to below 1"),
        ("learning_rate=NaN", "learning_rate must be above 0"),
        ("input.low=2", "input range must be finite and rise, got 2.0 to"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        adjusted(get_preset("edge-s"), [setting])
