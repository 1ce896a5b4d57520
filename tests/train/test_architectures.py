import math
import re
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec
from edge_emotion.train.architectures import MobileNet, SlidesNetwork, architecture_from_json, summary
from edge_emotion.train.presets import PRESETS, get_preset

pytestmark = pytest.mark.train
ROOT = Path(__file__).parents[2]


def parameters(model: Any) -> tuple[int, int]:
    trainable = sum(v.shape.num_elements() for v in model.trainable_weights)
    return model.count_params(), trainable


def test_the_slides_network_to_the_digit(keras: Any) -> None:
    model = SlidesNetwork().build(FACE_48, 3)
    layers = summary(model).splitlines()
    assert layers[-1] == "2,434,435 parameters: 2,425,731 trainable, 8,704 not"
    flatten = next(line for line in layers if line.startswith("flatten"))
    assert flatten.split() == ["flatten", "Flatten", "4096", "0"]
    dense = [line.split()[2] for line in layers if "Dense" in line]
    assert dense == ["256"] * 11 + ["1024", "3"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_logits_for_its_input(keras: Any, name: str) -> None:
    model = get_preset(name).architecture.build(FACE_48, 7)
    assert model.input_shape == (None, 48, 48, 1)
    assert model.output_shape == (None, 7)
    assert model.layers[-1].activation is keras.activations.linear


def test_edge_networks_stay_under_a_million_and_use_what_int8_keeps(keras: Any) -> None:
    allowed = {"InputLayer", "Conv2D", "BatchNormalization", "ReLU", "Add", "GlobalAveragePooling2D", "Dense"}
    for name in ("edge-m", "edge-s"):
        model = get_preset(name).architecture.build(FACE_48, 7)
        assert model.count_params() < 1_000_000
        assert {type(layer).__name__ for layer in model.layers} <= allowed


@pytest.mark.parametrize("name", PRESETS)
def test_networks_have_the_size_that_is_stated(keras: Any, name: str) -> None:
    model = get_preset(name).architecture.build(FACE_48, 7)
    sizes = {"parameters": model.count_params(), "MAC": 0}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
            sizes["MAC"] += math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    (row,) = re.findall(
        rf"^\| `{name}` \|.*", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    stated = re.findall(r"([\d.]+) ([kMG]) ?(MAC|parameters)", f"{get_preset(name).description} {row}")
    assert name == "seed" or {what for _, _, what in stated} == {"MAC", "parameters"}
    for number, prefix, what in stated:
        digits = len(number.partition(".")[2])
        assert round(sizes[what] / {"k": 1e3, "M": 1e6, "G": 1e9}[prefix], digits) == float(number)


def test_another_input(keras: Any) -> None:
    model = get_preset("tiny").architecture.build(InputSpec(64, 96, "rgb", -1.0, 1.0), 3)
    assert model.input_shape == (None, 96, 64, 3)


def test_an_unknown_architecture() -> None:
    with pytest.raises(OptionError, match="SlidesNetwork or ResidualNetwork or MobileNet, got 'Other'"):
        architecture_from_json({"kind": "Other"})


@pytest.mark.parametrize("change", [{"side": 0}, {"stem": 1.5}, {"frozen": 28}, {"frozen": -1}, {"dropout": 1.0}])
def test_a_face_network_of_impossible_numbers_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"architecture.{next(iter(change))}"):
        MobileNet(**change)


def test_the_first_convolutions_of_a_face_network_stay_as_they_are(keras: Any) -> None:
    model = MobileNet(stem=2, frozen=3).build(FACE_48, 7)
    still = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
    assert still == {name + end for name in ("stem", "depthwise1", "pointwise1") for end in ("", "_norm")}


@pytest.mark.parametrize("layers", [{"convolutions": (8, 0)}, {"dense": (True,)}, {"dense": (1.5,)}])
def test_layers_of_no_size_are_refused(layers: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"architecture.{next(iter(layers))} takes whole numbers"):
        SlidesNetwork(**layers)
