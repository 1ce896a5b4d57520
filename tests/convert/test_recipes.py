from __future__ import annotations

import json

import pytest
from edge_emotion.convert.recipes import INT8, RECIPES, Recipe, choose
from edge_emotion.edge_runtime.errors import OptionError


def test_nothing_named_means_all_four() -> None:
    assert [recipe.name for recipe in choose([])] == ["float32", "float16", "dynamic", "int8"]


def test_named_ones_come_in_the_fixed_order() -> None:
    assert [recipe.name for recipe in choose(["int8", "float32"])] == ["float32", "int8"]


def test_int8_has_int8_input_and_output_unless_told() -> None:
    assert choose(["int8"]) == (INT8,)
    assert choose(["int8"], "float32") == (Recipe("int8", io="float32"),)


def test_edge_tpu_alone_is_int8_alone() -> None:
    assert choose([], edgetpu=True) == (INT8,)
    assert [r.name for r in choose(["float16"], edgetpu=True)] == ["float16", "int8"]


@pytest.mark.parametrize(
    ("precisions", "io", "edgetpu"),
    [(["int9"], None, False), (["float32"], "int8", False), ([], "float32", True), (["int8"], "int16", False)],
)
def test_what_does_not_exist_is_refused(precisions: list[str], io: str | None, edgetpu: bool) -> None:
    with pytest.raises(OptionError):
        choose(precisions, io, edgetpu)  # type: ignore[arg-type]


def test_a_recipe_refuses_illegal_states() -> None:
    with pytest.raises(OptionError, match="only for int8"):
        Recipe("float32", keep_float=("conv",))
    with pytest.raises(OptionError, match="unknown precision"):
        Recipe("int4")  # type: ignore[arg-type]


def test_recipes_survive_json() -> None:
    for recipe in (*RECIPES.values(), Recipe("int8", "int8", ("a;b", "c"))):
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert Recipe("int8", keep_float=("a",)).name == "int8-mixed"
