"""`edge-emotion convert`, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.convert import verification
from edge_emotion.convert.run_folder import newest_model, recorded_dataset
from edge_emotion.convert.targets import Verdict
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.cli import app
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.errors import ContractError, DatasetError, EdgeEmotionError, ModelError, OptionError
from typer.testing import CliRunner, Result

from .conftest import LABELS, MODELS, SPEC, shades
from .test_converter import WILD, Maker

pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
pytestmark = pytest.mark.train


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in (shades("train", 12, 2), shades("validation", 8, 1)):
        for file, image in zip(split.files, split.images, strict=True):
            path = tmp_path / "faces" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), image)
    return tmp_path / "faces"


def make_run(tmp_path: Path, keras_model: Maker, data: Path, name: str = "20260101-000000-shades") -> Path:
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    model = folder / "model.keras"
    model.write_bytes(keras_model(0.0).read_bytes())
    metadata.embed_in_keras(model, metadata.ModelMetadata(LABELS, SPEC, name="shades"))
    record = {"schema_version": 1, "config": {}, "data": {"path": str(data), "sha256": open_dataset(data).sha256}}
    (folder / "run.json").write_text(json.dumps(record))
    return model


def test_bare_convert_takes_the_newest_run_and_its_data(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    result = run("--int8")
    assert result.exit_code == 0
    assert "the newest run" in result.stderr
    assert str(data) in result.stderr
    known = metadata.read(model.parent / "shades-int8.tflite")
    assert known is not None
    assert known.measured is not None
    assert known.measured.n == 24
    assert (model.parent / "shades-conversion" / "conversion.json").exists()


def test_data_without_the_models_classes_says_which_it_has(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    for folder in data.glob("*/*"):
        folder.rename(folder.with_name(f"{folder.name} "))
    with pytest.raises(DatasetError, match=r"faces has the classes .*, the model knows .*: fewer than two are common"):
        run(model, "--data", data)


def test_json_is_one_document(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    result = run(model, "--float32", "--int8", "--json", "--out", tmp_path / "out", "--calibration-samples", "6")
    document = json.loads(result.stdout)
    assert [output["precision"] for output in document["outputs"]] == ["float32", "int8"]
    assert document["contract"]["n"] == 24
    record = metadata.parse_conversion((tmp_path / "out" / "shades-int8.tflite").read_bytes())
    assert record is not None
    assert record["calibration"]["n"] == 6


def test_a_logit_bias_is_said_and_recorded(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    result = run(model, "--float32", "--logit-bias", "grey=1.5")
    assert f"{model} with grey +1.5 in the logits on validation" in " ".join(result.stdout.split())
    known = metadata.read(model.parent / "shades-float32.tflite")
    assert known is not None
    assert known.logit_bias == {"grey": 1.5}
    with pytest.raises(OptionError, match="unknown class 'gray': did you mean grey"):
        run(model, "--logit-bias", "gray=1")


def test_an_explicit_limit_is_enforced_with_exit_code_3(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    with pytest.raises(ContractError, match=r"accuracy fell by 66\.67 pp.*--fix") as caught:
        run(keras_model(WILD), "--labels", ",".join(LABELS), "--input", "8x8:grey:0:1", "--data", data, "--int8",
            "--max-drop", "1", "--out", tmp_path / "out")  # fmt: skip
    assert caught.value.exit_code == 3
    assert (tmp_path / "out" / f"shades-{WILD:g}-int8.tflite.rejected").exists()


def test_what_garbage_is_refused_for_is_said_once(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    described = ("--labels", ",".join(LABELS), "--input", "8x8:grey:0:1", "--data", data, "--out", tmp_path / "out")
    arguments = ["convert", *map(str, (keras_model(WILD), *described, "--int8"))]
    told = CliRunner().invoke(app, arguments).stdout
    assert told.count("agrees with the float model") == told.count("  contract: garbage: litert") == 1


def test_fix_is_no_advice_for_a_file_without_int8_layers(
    tmp_path: Path, keras_model: Maker, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = {"litert": Verdict("fails", "said by a test")}
    monkeypatch.setattr(verification, "judge", lambda *_: (fails, 0))
    described = ("--labels", ",".join(LABELS), "--input", "8x8:grey:0:1", "--data", data, "--out", tmp_path / "out")
    with pytest.raises(ContractError, match=r"said by a test\): written with the suffix \.rejected$"):
        run(keras_model(0.0), *described, "--float32")


def test_calibration_with_a_validation_image_is_refused(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    with pytest.raises(DatasetError, match="leak"):
        run(model, "--int8", "--calibration", data / "validation" / "grey")
    assert not list(model.parent.glob("*.tflite*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--io", "int8", "--float32"], "needs --int8"),
        (["--edgetpu", "--io", "float32"], "excludes"),
        (["--float16", "--keep-float", "logits"], "it needs --int8"),
        (["--edgetpu", "--keep-float", "logits"], "excludes --edgetpu"),
        (["--max-drop", "-1"], "0 to 100"),
        ([MODELS / "brightness-int8.tflite"], "only with --edgetpu"),
        ([MODELS / "brightness-int8.tflite", "--edgetpu", "--out", "elsewhere"], "goes beside it"),
    ],
)
def test_invalid_options_are_exit_code_2(arguments: list[str | Path], said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        run(*arguments)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_no_generator_takes_is_exit_code_2(seed: str) -> None:
    result = run("--seed", seed)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_labels_rename_the_outputs_of_a_model_that_says_its_input(
    tmp_path: Path, keras_model: Maker, data: Path
) -> None:
    model = make_run(tmp_path, keras_model, data)
    before = metadata.read(model)
    assert before is not None
    for split in ("train", "validation"):
        for old, new in zip(LABELS, ("low", "middle", "high"), strict=True):
            (data / split / old).rename(data / split / new)
    run(model, "--float32", "--labels", "low,middle,high", "--data", data)
    after = metadata.read(model.parent / "shades-float32.tflite")
    assert after is not None
    assert (after.labels, after.input) == (("low", "middle", "high"), before.input)
    for arguments, said in (
        (["--labels", "low,high"], "3 outputs"),
        (["--labels", "low,middle,high", "--input", "8x8:grey:0:255"], "says its own input"),
    ):
        with pytest.raises(OptionError, match=said):
            run(model, "--float32", *arguments)
    with pytest.raises(OptionError, match="needs --labels"):
        run(keras_model(0.0), "--input", "8x8:grey:0:1")


def test_what_is_not_there_is_said(tmp_path: Path, keras_model: Maker) -> None:
    for arguments, said in (
        ([], "no run with a model.keras"),
        (["nowhere.keras"], "does not exist"),
        ([keras_model(0.0)], "--labels and --input"),
    ):
        with pytest.raises(ModelError, match=said):
            run(*arguments)


def test_what_is_no_model_is_said_before_its_labels_are_asked_for(tmp_path: Path) -> None:
    for name in ("text.keras", "old.h5"):
        (tmp_path / name).write_text("no model")
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("text.keras", r"text\.keras is not a whole Keras 3 model"),
        ("old.h5", r"old\.h5: \.h5 files can run code"),
        ("empty", r"it has no saved_model\.pb"),
    ):
        with pytest.raises(ModelError, match=said):
            run(name)


def test_opencv_says_nothing_of_a_calibration_image_that_it_cannot_read(tmp_path: Path) -> None:
    """In a process of its own: what keeps OpenCV quiet holds for all that follows in one."""
    with zipfile.ZipFile(tmp_path / "model.keras", "w"):
        pass
    (tmp_path / "photos").mkdir()
    assert cv2.imwrite(str(tmp_path / "photos" / "float.tiff"), np.zeros((8, 8), np.float32))
    arguments = ["convert", "model.keras", "--labels", "a,b", "--input", "8x8:grey:0:1", "--calibration", "photos"]
    done = subprocess.run(
        [sys.executable, "-m", "edge_emotion.edge_runtime.cli", *arguments], capture_output=True, text=True, check=False
    )
    skipped, refused = done.stderr.splitlines()
    assert skipped.startswith("WARNING: calibration image skipped: photos/float.tiff is not an image")
    assert refused == "edge-emotion: calibration folder photos has no readable image"


def test_an_output_folder_that_cannot_be_written_is_said_first(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EdgeEmotionError, match="cannot write"):
        run(make_run(tmp_path, keras_model, data), "--out", tmp_path / "file" / "out")


def test_compiling_alone_needs_an_int8_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    model = tmp_path / "shades-int8.tflite"
    model.write_bytes((MODELS / "brightness-int8.tflite").read_bytes()[:600])
    with pytest.raises(ModelError, match=r"shades-int8\.tflite is not a whole TFLite file"):
        run(model, "--edgetpu")
    model.write_bytes((MODELS / "brightness-int8.tflite").read_bytes())
    assert "edgetpu_compiler -s -o" in run(model, "--edgetpu").stdout
    document = json.loads(run(model, "--edgetpu", "--json").stdout)
    assert document["edgetpu"]["compiled"] is False


def test_the_newest_run_with_a_model_counts(tmp_path: Path, keras_model: Maker, data: Path) -> None:
    model = make_run(tmp_path, keras_model, data)
    (tmp_path / "runs" / "later").mkdir()
    (tmp_path / "runs" / "later" / "run.json").write_text("{}")  # begun, but without a model yet
    assert newest_model() == model.relative_to(tmp_path)


def test_recorded_data_that_is_gone_or_changed(
    tmp_path: Path, keras_model: Maker, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_run(tmp_path, keras_model, data)
    extra = np.full((8, 8), 7, np.uint8)
    assert cv2.imwrite(str(data / "train" / "dark" / "extra.png"), extra)
    assert recorded_dataset(model) is not None
    assert "has changed" in caplog.text
    data.rename(tmp_path / "moved")
    with pytest.raises(DatasetError, match="give --data"):
        recorded_dataset(model)
    assert recorded_dataset(tmp_path / "elsewhere.keras") is None
