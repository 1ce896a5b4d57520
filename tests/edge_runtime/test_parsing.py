import dataclasses
from pathlib import Path

import pytest
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.errors import ModelError, OptionError
from edge_emotion.edge_runtime.metadata import InputSpec, ModelMetadata
from edge_emotion.edge_runtime.parsing import (
    declare,
    declare_each,
    parse_classes,
    parse_declared,
    parse_limit,
    parse_logit_bias,
)
from hypothesis import given
from hypothesis import strategies as st

INT8 = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"


def test_classes() -> None:
    assert parse_classes(None) is None
    assert parse_classes(" Angry, happy") == ("angry", "happy")
    for text in ("", "angry,", ",", "a,,b"):
        with pytest.raises(OptionError, match="empty name"):
            parse_classes(text)


@given(st.integers(1, 10**6), st.none() | st.integers(1, 10**6))
def test_limit(train: int, validation: int | None) -> None:
    text = str(train) if validation is None else f"{train},{validation}"
    assert parse_limit(text) == (train, validation)


@pytest.mark.parametrize("text", ["", "0", "-3", "a", "1,2,3", "1,", "1.5", "²"])
def test_wrong_limits(text: str) -> None:
    with pytest.raises(OptionError, match="such as 400,160"):
        parse_limit(text)


def test_declared_input() -> None:
    assert parse_declared(None, None) is None
    declared = parse_declared("sad, happy", "64x32:rgb:-1:1")
    assert declared is not None
    assert declared.labels == ("sad", "happy")
    assert declared.input == InputSpec(64, 32, "rgb", -1, 1)


@pytest.mark.parametrize(
    "text",
    ["64", "64x64:blue:0:1", "64x64:grey:1:0", "axb:grey:0:1", "64x64:grey:0", "0x4:grey:0:1", "48x48:grey:0:inf"],
)
def test_wrong_inputs(text: str) -> None:
    with pytest.raises(OptionError, match="64x64:grey:-1:1"):
        parse_declared("a,b", text)


@pytest.mark.parametrize("text", ["a,a", "a,,c", "a", ""])
def test_wrong_labels(text: str) -> None:
    with pytest.raises(OptionError, match="--labels: labels must be two or more distinct names"):
        parse_declared(text, None)


def test_of_a_file_with_metadata_labels_are_replaced_and_nothing_else() -> None:
    known = metadata.read(INT8)
    assert known is not None
    assert declare(str(INT8), None, None) is None
    assert declare(str(INT8), "x,y,z", None) == dataclasses.replace(known, labels=("x", "y", "z"))
    with pytest.raises(OptionError, match=r"--labels: the model has 3 outputs \(dark, grey, bright\), got 2 names"):
        declare(str(INT8), "x,y", None)
    for labels in ("x,y,z", None):
        with pytest.raises(OptionError, match="says its own input"):
            declare(str(INT8), labels, "48x48:grey:0:1")


def test_of_a_file_without_metadata_all_is_declared(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(metadata.strip(INT8.read_bytes()))
    assert declare(str(bare), "x,y,z", "48x48:grey:-1:1") == ModelMetadata(("x", "y", "z"), InputSpec(low=-1))
    with pytest.raises(OptionError, match="needs --labels too"):
        declare(str(bare), None, "48x48:grey:-1:1")
    with pytest.raises(ModelError, match="does not exist"):
        declare("none.tflite", "x,y,z", None)


def test_of_several_files_those_without_metadata_are_declared_and_else_all_renamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(metadata.strip(INT8.read_bytes()))
    both = [str(INT8), str(bare)]
    assert declare_each(both, None, None) == {}
    assert declare_each([str(INT8)], "x,y,z", None) == {INT8: declare(str(INT8), "x,y,z", None)}
    assert capsys.readouterr().err == ""
    described = ModelMetadata(("bright", "dark", "grey"), InputSpec(low=-1), precision="")
    assert declare_each(both, "bright,dark,grey", "48x48:grey:-1:1") == {bare: described}
    assert "without metadata: bare.tflite; the others keep their own" in capsys.readouterr().err
    with pytest.raises(OptionError, match="got 2 names"):
        declare_each([str(INT8)], "x,y", None)
    with pytest.raises(OptionError, match="says its own input"):
        declare_each([str(INT8)], None, "48x48:grey:-1:1")
    with pytest.raises(OptionError, match="needs --labels too"):
        declare_each(both, None, "48x48:grey:-1:1")


@given(st.dictionaries(st.sampled_from(["angry", "disgust", "sad"]), st.floats(-9, 9), min_size=1))
def test_logit_biases(biases: dict[str, float]) -> None:
    text = ", ".join(f"{label} = {value!r}" for label, value in biases.items())
    assert parse_logit_bias(text, ("angry", "disgust", "sad")) == biases
    assert parse_logit_bias(None, ("angry",)) == {}
    assert parse_logit_bias("angry=0.2, HAPPY=1", ("Angry", "Happy")) == {"Angry": 0.2, "Happy": 1.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("disgusted=1", "--logit-bias: unknown class 'disgusted': did you mean disgust"),
        ("", "unknown class ''"),
        ("disgust", "written like"),
        ("disgust=much", "written like"),
        ("disgust=1,", "unknown class ''"),
    ],
)
def test_wrong_logit_biases(text: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        parse_logit_bias(text, ("angry", "disgust"))
