from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from edge_emotion.convert.coral import READY, compile_file
from edge_emotion.convert.printing import print_coral
from edge_emotion.edge_runtime import cli, metadata
from edge_emotion.edge_runtime.errors import ModelError

from .conftest import MODELS
from .test_edgetpu import COMPILED, STATUSES, log_of

pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert (the schema)")

FAKE = """#!{python}
import pathlib, sys
show, out, folder, path = sys.argv[1:]
assert (show, out) == ("-s", "-o"), sys.argv
model = pathlib.Path(path)
content = model.read_bytes()
if b"metadata.json" in content:
    sys.exit("Invalid model: " + path)  # the real tool is given bare flatbuffers
sys.stdout.write({said!r})
target = pathlib.Path(folder, model.stem + "_edgetpu")
target.with_suffix(".tflite").write_bytes(content + b"edgetpu-custom-op")
target.with_suffix(".log").write_text({log!r})
sys.exit({code})
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "shades-int8.tflite"
    path.write_bytes((MODELS / "brightness-int8.tflite").read_bytes())
    return path


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str = COMPILED, log: str = "", code: int = 0) -> None:
    """Put a compiler that answers so on PATH, and nothing else."""
    folder.mkdir()
    tool = folder / "edgetpu_compiler"
    tool.write_text(FAKE.format(python=sys.executable, said=said, log=log, code=code))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_compiled_file_keeps_the_metadata(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of([("FULLY_CONNECTED", 1, STATUSES[0]), ("MEAN", 1, STATUSES[4])])
    install(tmp_path / "bin", monkeypatch, log=log)
    coral = compile_file(model)
    assert coral.path == tmp_path / "shades-int8_edgetpu.tflite"
    assert metadata.read(coral.path) == metadata.read(model)
    compiled = coral.path.read_bytes()
    bare = metadata.strip(model.read_bytes())
    assert metadata.strip(compiled) == bare + b"edgetpu-custom-op"
    record = metadata.parse_conversion(compiled)
    assert record is not None
    assert (record["edgetpu"]["mapped"], record["edgetpu"]["unmapped"]) == (1, 1)
    assert not (tmp_path / READY).exists()


def test_a_failed_compilation_writes_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", monkeypatch, said="Internal compiler error. Aborting!\n", code=1)
    coral = compile_file(model)
    assert coral.path is None
    assert coral.compilation is not None
    assert coral.compilation.content is None
    assert coral.compilation.failure == "Internal compiler error. Aborting!"
    assert not list(tmp_path.glob("*_edgetpu.tflite"))


def test_without_a_compiler_a_bare_file_and_the_command_are_left(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    coral = compile_file(model)
    ready = tmp_path / READY / model.name
    assert ready.read_bytes() == metadata.strip(model.read_bytes())
    assert coral.command == ("edgetpu_compiler", "-s", "-o", str(tmp_path), str(ready))
    assert coral.to_json() == {"path": None, "command": list(coral.command), "compiled": False}


def test_the_command_can_be_pasted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    monkeypatch.setenv("PATH", "")
    coral = compile_file(model.rename(folder / model.name))
    print_coral(coral)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    edgetpu_compiler")]
    assert [shlex.split(line) for line in told] == [list(coral.command)]


def test_a_bundled_model_is_copied_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, told in (("edge-m", 'cp "$(edge-emotion models path edge-m)" .'), ("edge-x", "does not exist here")):
        monkeypatch.setattr(sys, "argv", ["edge-emotion", "convert", name, "--edgetpu"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().err
        assert ended.value.code == 1
        assert told in said
        assert ("bundled" in said) == (name == "edge-m")


def test_a_file_compiled_elsewhere_gets_the_metadata(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    compile_file(model)
    compiled = tmp_path / "shades-int8_edgetpu.tflite"
    compiled.write_bytes(b"\x1c\0\0\0TFL3 ... edgetpu-custom-op")
    assert compile_file(model).path == compiled
    assert metadata.read(compiled) == metadata.read(model)


def test_a_compiled_file_of_another_model_is_not_adopted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    compiled = tmp_path / "shades-int8_edgetpu.tflite"
    compiled.write_bytes(b"\x1c\0\0\0TFL3 ... edgetpu-custom-op")
    assert compile_file(model).path is None
    assert metadata.read(compiled) is None
    assert compile_file(model).path == compiled  # now it can only be of this one
    model.write_bytes((MODELS / "residual-int8.tflite").read_bytes())
    assert compile_file(model).path is None
    assert (tmp_path / READY / model.name).read_bytes() == metadata.strip(model.read_bytes())


def test_what_cannot_be_compiled_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        compile_file(tmp_path / "nowhere.tflite")
    with pytest.raises(ModelError, match="float32: int8 input and output are needed"):
        compile_file(MODELS / "brightness-float32.tflite")
    twice = tmp_path / "twice.tflite"
    twice.write_bytes(metadata.strip(model.read_bytes()) + b"edgetpu-custom-op")
    with pytest.raises(ModelError, match="already"):
        compile_file(twice)
    assert os.listdir(tmp_path).count(READY) == 0
