from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from edge_emotion.convert.inspection import inspect_model
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.cli import app
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.zoo import resolve
from typer.testing import CliRunner

from .conftest import MODELS

pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert (the schema)")

FLOAT32, INT8 = MODELS / "brightness-float32.tflite", MODELS / "brightness-int8.tflite"


def test_an_int8_file_against_its_float_one() -> None:
    found = inspect_model(INT8, against=FLOAT32)
    assert found.contradictions == ()
    assert found.graph.macs == 3
    assert found.runs_on["litert"].verdict == "runs"
    assert "brightness-float32.tflite on 100.0 % of 32 images" in found.runs_on["litert"].reason
    assert found.runs_on["edgetpu"].verdict == "unlikely"
    assert "MEAN" in found.runs_on["edgetpu"].reason
    assert "depth 1" in found.runs_on["edgetpu"].reason


def test_a_float_file_says_what_keeps_it_from_a_coral() -> None:
    found = inspect_model(FLOAT32)
    assert found.runs_on["edgetpu"].verdict == "unlikely"
    assert "float32" in found.runs_on["edgetpu"].reason
    assert found.runs_on["xnnpack int8"].verdict == "unlikely"
    document = json.loads(json.dumps(found.to_json()))
    assert document["tensor_types"]["activations"] == {"float32": 3}
    assert document["operators"]["MEAN"] == {"1": 1}


def test_the_float_file_beside_it_is_found_by_its_source(tmp_path: Path) -> None:
    for path in (FLOAT32, INT8):
        content = path.read_bytes()
        known = metadata.parse(content)
        assert known is not None
        own = dataclasses.replace(known, source_sha256="ab" * 32)
        (tmp_path / path.name).write_bytes(metadata.attach(content, own))
    assert inspect_model(tmp_path / INT8.name).compared_with == FLOAT32.name
    assert inspect_model(INT8).compared_with == ""


def test_without_a_float32_file_the_float16_one_beside_it_serves() -> None:
    assert inspect_model("edge-m").compared_with == "edge-m-float16.tflite"
    assert inspect_model("edge-m-float16").compared_with == ""


def test_what_it_is_compared_with_may_be_a_bundled_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "copy.tflite"
    elsewhere.write_bytes(resolve("edge-m").read_bytes())
    shown = CliRunner().invoke(app, ["inspect", str(elsewhere), "--against", "edge-m-float16"])
    assert shown.exit_code == 0
    assert "agrees with edge-m-float16.tflite on" in shown.stdout


def test_garbage_is_told_from_an_answer(tmp_path: Path) -> None:
    """A file whose weights were scrambled loads and runs, and is not what it was converted from."""
    content = bytearray(FLOAT32.read_bytes())
    kernel = b"\x00\x00\x00\xc1\x00\x00\x00\x00\x00\x00\x00\x41"  # -8, 0, 8 as float32
    start = bytes(content).find(kernel)
    assert start > 0
    content[start : start + 12] = kernel[8:] + kernel[4:8] + kernel[:4]
    scrambled = tmp_path / "scrambled.tflite"
    scrambled.write_bytes(bytes(content))
    verdict = inspect_model(scrambled, against=FLOAT32).runs_on["litert"]
    assert verdict.verdict == "garbage"
    assert "agrees with brightness-float32.tflite on" in verdict.reason


def test_a_file_without_metadata_is_inspected_all_the_same(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(metadata.strip(INT8.read_bytes()))
    found = inspect_model(bare)
    assert found.metadata is None
    assert found.runs_on["litert"].verdict == "runs"


def test_a_file_without_metadata_takes_the_input_of_what_it_is_compared_with(tmp_path: Path) -> None:
    """Both files take the pixels as they are; 0 to 255 is not what anybody would guess."""
    known = metadata.read(FLOAT32)
    assert known is not None
    spec = dataclasses.replace(known.input, high=255.0)
    bare, full = tmp_path / "bare.tflite", tmp_path / "full.tflite"
    bare.write_bytes(metadata.strip(FLOAT32.read_bytes()))
    full.write_bytes(metadata.attach(FLOAT32.read_bytes(), dataclasses.replace(known, input=spec)))
    verdict = inspect_model(bare, against=full).runs_on["litert"]
    assert verdict.verdict == "runs"
    assert "100.0 %" in verdict.reason
    other = dataclasses.replace(known, labels=("dark", "bright"))  # of another network: it tells nothing
    full.write_bytes(metadata.attach(FLOAT32.read_bytes(), other))
    assert inspect_model(bare, against=full).runs_on["litert"].verdict == "runs"


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (("dark,bright",), "3 outputs, the declaration 2 labels"),
        (("dark,grey,bright", "--input", "64x64:grey:0:1"), r"\(1, 48, 48, 1\), the declaration says \(1, 64, 64, 1\)"),
    ],
)
def test_a_declaration_that_contradicts_the_tensors_is_refused(
    tmp_path: Path, described: tuple[str, ...], said: str
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(metadata.strip(INT8.read_bytes()))
    with pytest.raises(ModelError, match=said):
        CliRunner().invoke(app, ["inspect", str(bare), "--labels", *described], catch_exceptions=False)


def test_labels_rename_the_outputs_and_leave_the_rest(tmp_path: Path) -> None:
    known = metadata.read(FLOAT32)
    assert known is not None
    spec = dataclasses.replace(known.input, high=255.0)
    full = tmp_path / "full.tflite"
    full.write_bytes(metadata.attach(FLOAT32.read_bytes(), dataclasses.replace(known, input=spec)))
    arguments = ["inspect", str(full), "--labels", "low,middle,high", "--against", str(full), "--json"]
    document = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert document["runs_on"]["litert"]["verdict"] == "runs"


@pytest.mark.parametrize("bare", [False, True])
def test_declared_labels_are_shown_in_place_of_its_own(tmp_path: Path, bare: bool) -> None:
    content = INT8.read_bytes()
    model = tmp_path / "model.tflite"
    model.write_bytes(metadata.strip(content) if bare else content)
    arguments = ["inspect", str(model), "--labels", "low,middle,high"]
    shown = CliRunner().invoke(app, arguments).stdout
    assert "labels         low, middle, high\n" in shown
    assert "made with" not in shown  # neither says it
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert document["metadata"]["labels"] == ["low", "middle", "high"]
    assert document["metadata"]["precision"] == ("" if bare else "int8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ("dark", "bright")}, "3 outputs, its metadata 2 labels"),
        ({"input": metadata.InputSpec(64, 64)}, r"takes \(1, 48, 48, 1\), its metadata says \(1, 64, 64, 1\)"),
    ],
)
def test_metadata_that_contradicts_the_tensors_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    known = metadata.read(INT8)
    assert known is not None
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(metadata.attach(INT8.read_bytes(), dataclasses.replace(known, **change)))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=said):
        CliRunner().invoke(app, ["inspect", str(wrong)], catch_exceptions=False)


def test_what_is_no_model_is_one_clear_line(tmp_path: Path) -> None:
    text = tmp_path / "text.tflite"
    text.write_text("not a model, but long enough to be one")
    with pytest.raises(ModelError, match=r"text\.tflite is not a TFLite file$"):
        inspect_model(text)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(ModelError, match=r"model\.keras is not a TFLite file: convert it first"):
        inspect_model(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="not a file"):
        inspect_model(tmp_path)
    with pytest.raises(ModelError, match=r"^--against: model .*nowhere\.tflite does not exist"):
        inspect_model(INT8, against=tmp_path / "nowhere.tflite")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(FLOAT32.read_bytes()[:600])
    with pytest.raises(ModelError, match=r"cut\.tflite is not a whole TFLite file: it is cut off or damaged$"):
        inspect_model(cut)


def test_the_command_prints_tables_and_json() -> None:
    shown = CliRunner().invoke(app, ["inspect", str(INT8), "--against", str(FLOAT32)])
    assert shown.exit_code == 0
    assert "FULLY_CONNECTED" in shown.stdout
    document = json.loads(CliRunner().invoke(app, ["inspect", str(INT8), "--json"]).stdout)
    assert document["schema_version"] == 1
    assert document["runs_on"]["litert"]["verdict"] == "runs"


def test_inspect_loads_no_tensorflow() -> None:
    script = (
        "import sys\n"
        "from edge_emotion.edge_runtime.cli import main\n"
        f"sys.argv = ['edge-emotion', 'inspect', {str(INT8)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "loaded = {'tensorflow', 'keras', 'torch', 'jax', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
