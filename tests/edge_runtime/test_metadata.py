import contextlib
import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.metadata import (
    InputSpec,
    Measurement,
    ModelMetadata,
    attach,
    parse,
    parse_conversion,
    strip,
)
from hypothesis import given
from hypothesis import strategies as st

names = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=20)
specs = st.builds(
    InputSpec,
    width=st.integers(1, 512),
    height=st.integers(1, 512),
    colour=st.sampled_from(["grey", "rgb"]),
    low=st.floats(-255, -0.5),
    high=st.floats(0.5, 255),
)
measurements = st.builds(
    Measurement,
    split=names,
    n=st.integers(0, 10**6),
    accuracy=st.floats(0, 1),
    accuracy_ci95=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    data_sha256=st.text("0123456789abcdef", max_size=64),
)
documents = st.builds(
    ModelMetadata,
    labels=st.lists(names, min_size=2, max_size=9, unique=True).map(tuple),
    input=specs,
    name=names,
    outputs=st.sampled_from(["logits", "probabilities"]),
    temperature=st.floats(0.05, 20),
    crop_margin=st.floats(0, 2),
    measured=st.none() | measurements,
    tools=st.dictionaries(names, names, max_size=3),
).flatmap(
    lambda document: st.dictionaries(st.sampled_from(document.labels), st.floats(-9, 9), max_size=2).map(
        lambda bias: dataclasses.replace(document, logit_bias=bias)
    )
)
FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 3


@given(documents)
def test_metadata_survives_json_and_the_file(document: ModelMetadata) -> None:
    assert ModelMetadata.from_json(json.loads(json.dumps(document.to_json()))) == document
    content = attach(FLATBUFFER, document)
    assert content.startswith(FLATBUFFER)
    assert parse(content) == document
    assert strip(content) == FLATBUFFER


@given(documents, documents)
def test_attaching_again_replaces(first: ModelMetadata, second: ModelMetadata) -> None:
    assert attach(attach(FLATBUFFER, first), second) == attach(FLATBUFFER, second)


@given(st.binary(max_size=200))
def test_a_file_without_metadata_is_left_alone(content: bytes) -> None:
    assert strip(content) == content
    assert parse(content) is None


def test_any_zip_tool_reads_the_labels() -> None:
    content = attach(FLATBUFFER, ModelMetadata(("a", "b")))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt") == b"a\nb\n"


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": ()},
        {"labels": ("a",)},
        {"labels": ("a", "a")},
        {"labels": ("a", "")},
        {"labels": ("a", "b\nc")},
        {"labels": ("a", "b"), "temperature": 0.0},
        {"labels": ("a", "b"), "temperature": float("nan")},
        {"labels": ("a", "b"), "outputs": "votes"},
        {"labels": ("a", "b"), "crop_margin": -0.1},
        {"labels": ("a", "b"), "logit_bias": {"c": 0.1}},
        {"labels": ("a", "b"), "logit_bias": {"a": float("nan")}},
        {"labels": ("a", "b"), "resize": "nearest"},
    ],
)
def test_impossible_metadata_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        ModelMetadata(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [{"width": 0}, {"height": 5000}, {"colour": "cmyk"}, {"low": 1.0}, {"low": float("nan")}, {"high": float("inf")}],
)
def test_impossible_inputs_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        InputSpec(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "schema None"),
        ({"schema_version": 99, "labels": ["a", "b"]}, "update edge-emotion"),
        ({"schema_version": 1}, "malformed"),
        ({"schema_version": 1, "labels": ["a", "b"], "input": {"width": "48"}}, "malformed"),
        ({"schema_version": 1, "labels": ["a", "b"], "input": "48x48"}, "malformed"),
        ({"schema_version": 1, "labels": ["a", "b"], "measured": {"n": 3}}, "malformed"),
    ],
)
def test_malformed_documents_say_so(document: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelMetadata.from_json(document)


@pytest.mark.parametrize("text", [b"not json", b"[1, 2]"])
def test_a_broken_member_is_an_error_not_a_guess(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(FLATBUFFER)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.json", text)
    with pytest.raises(ModelError, match=r"broken\.tflite is not"):
        metadata.read(path)


@given(st.data())
def test_damaged_metadata_is_an_error_of_the_model_and_nothing_else(data: st.DataObject) -> None:
    content = bytearray(attach(FLATBUFFER, ModelMetadata(("a", "b")), {"recipe": "int8"}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(len(FLATBUFFER), len(content) - 1))] = data.draw(st.integers(0, 255))
    for reads in (parse, parse_conversion, strip):
        with contextlib.suppress(ModelError):
            reads(bytes(content))


@pytest.mark.parametrize("damaged", [b'"a"', b"PK\x01\x02"])
def test_a_changed_byte_is_said_and_not_taken_for_no_metadata(damaged: bytes) -> None:
    content = attach(FLATBUFFER, ModelMetadata(("a", "b")))
    with pytest.raises(ModelError, match="damaged"):
        parse(content.replace(damaged, b"x" * len(damaged)))


def test_other_names_keep_everything_else() -> None:
    model = ModelMetadata(("a", "b", "c"), temperature=0.8, crop_margin=0.1, logit_bias={"b": 0.2})
    renamed = model.renamed(("x", "y", "z"))
    assert renamed == dataclasses.replace(model, labels=("x", "y", "z"), logit_bias={"y": 0.2})
    with pytest.raises(ModelError, match=r"has 3 outputs \(a, b, c\), got 2 names"):
        model.renamed(("x", "y"))


def test_read_of_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        metadata.read(tmp_path / "none.tflite")


def test_a_keras_zip_keeps_its_own_members(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
    document = ModelMetadata(("a", "b"), name="x")
    metadata.embed_in_keras(path, document)
    assert metadata.read(path) == document
    with zipfile.ZipFile(path) as archive:
        assert archive.read("metadata.json") == b"{}"


def test_a_keras_file_that_cannot_be_written_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        metadata.embed_in_keras(path, ModelMetadata(("a", "b")))
    assert path.read_bytes() == before


def test_the_same_model_gives_the_same_bytes_at_any_time() -> None:
    content = attach(FLATBUFFER, ModelMetadata(("a", "b")), {"recipe": "int8"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("place", [(), ("input",), ("measured",)])
def test_what_a_newer_writer_adds_is_ignored(place: tuple[str, ...]) -> None:
    known = ModelMetadata(("a", "b"), measured=metadata.Measurement("validation", 4, 0.5, (0.1, 0.9)))
    document = known.to_json()
    (document[place[0]] if place else document)["later"] = 1
    assert ModelMetadata.from_json(document) == known


def test_metadata_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelMetadata(("a", "b")).name = "x"  # type: ignore[misc]
