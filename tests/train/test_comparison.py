import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime.cli import main
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.errors import EdgeEmotionError, OptionError
from edge_emotion.train.comparison import compare_runs, comparison
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import adjusted, get_preset
from edge_emotion.train.run_data import load_data
from edge_emotion.train.trainer import train

pytestmark = pytest.mark.train

SMALL = ("epochs=1", "architecture.stages=[[8, 1]]")


@pytest.fixture(scope="module")
def runs(drawn_faces: Path, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("compared")
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_EMOTION_CACHE", str(folder / "cache"))
        for name, settings, classes in (
            ("base", (), ("happy", "surprise")),
            ("mixed", ("mixup=0.2", "augmentation.erase=0.1"), ("happy", "surprise")),
            ("others", (), ("happy", "sad")),
        ):
            config = TrainConfig(adjusted(get_preset("tiny"), SMALL + settings), classes)
            train(config, load_data(open_dataset(drawn_faces), config), folder / name)
            made.append(folder / name)
    return made


def test_runs_are_compared_image_by_image_and_their_changes_named(runs: list[Path], drawn_faces: Path) -> None:
    base, mixed = compare_runs(runs[:2], drawn_faces, "validation")
    assert (base.changes, base.against_first.flips) == ((), 0)
    assert dict(mixed.changes) == {"mixup": 0.2, "augmentation.erase": 0.1}
    gained = -mixed.against_first.drop_pp / 100
    assert mixed.accuracy == pytest.approx(base.accuracy + gained)
    assert set(mixed.recalls) == {"happy", "surprise"}


def test_the_table_and_its_json(runs: list[Path], drawn_faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison(runs[:2], drawn_faces, "validation", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in document["runs"]] == ["base", "mixed"]
    comparison(runs[:2], drawn_faces, "validation", as_json=False)
    text = capsys.readouterr().out
    assert "augmentation.erase 0.1, mixup 0.2" in text
    assert "-0.00" not in text
    assert "n = 8" in text


def test_runs_of_the_same_name_are_told_apart_by_their_folders(
    runs: list[Path], drawn_faces: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(runs[0], tmp_path / "base"))
    assert [one.run for one in compare_runs([runs[0], runs[1], again], drawn_faces, "validation")] == [
        str(runs[0]), "mixed", str(again)
    ]  # fmt: skip


def test_runs_that_differ_in_their_teacher_say_so(runs: list[Path], drawn_faces: Path, tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "taught")
    record = json.loads((runs[0] / "run.json").read_text())
    record["config"]["teachers"] = ["/m1/model.keras"]
    (tmp_path / "taught" / "run.json").write_text(json.dumps(record))
    shutil.copytree(tmp_path / "taught", tmp_path / "other")
    (tmp_path / "other" / "run.json").write_text(json.dumps(record).replace("/m1/", "/m2/"))
    _, other = compare_runs([tmp_path / "taught", tmp_path / "other"], drawn_faces, "validation")
    assert dict(other.changes) == {"teachers": ["/m2/model.keras"]}


def test_a_run_without_augmentation_says_so(runs: list[Path], drawn_faces: Path, tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "plain")
    record = json.loads((runs[0] / "run.json").read_text())
    record["config"]["preset"]["augmentation"] = None
    (tmp_path / "plain" / "run.json").write_text(json.dumps(record))
    _, plain = compare_runs([runs[0], tmp_path / "plain"], drawn_faces, "validation")
    assert plain.changes == (("augmentation", None),)


def test_as_a_program_an_error_is_one_line(drawn_faces: Path, tmp_path: Path) -> None:
    for module, arguments, code in (("comparison", ["nowhere"], 1), ("throughput", ["--preset", "foo"], 2)):
        command = [sys.executable, "-m", f"edge_emotion.train.{module}", *arguments, "--data", str(drawn_faces)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("edge-emotion: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["comparison", "throughput", "face_weights"])
def test_as_a_program_an_interruption_is_said(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    program = import_module(f"edge_emotion.train.{module}")
    monkeypatch.setattr(program, "import_keras" if module == "face_weights" else "open_dataset", interrupt)
    monkeypatch.setattr(sys, "argv", [module, *(["x"] if module != "throughput" else []), "--data", "x"])
    with pytest.raises(SystemExit) as exit_:
        main(program.app, module)
    assert (exit_.value.code, capsys.readouterr().err) == (130, "edge-emotion: interrupted\n")


def test_runs_of_other_classes_cannot_be_compared(runs: list[Path], drawn_faces: Path) -> None:
    with pytest.raises(OptionError, match="other classes than"):
        compare_runs([runs[0], runs[2]], drawn_faces, "validation")


def test_a_folder_that_is_no_run(runs: list[Path], drawn_faces: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeEmotionError):
        compare_runs([tmp_path], drawn_faces, "validation")
    shutil.copytree(runs[0], tmp_path / "broken")
    (tmp_path / "broken" / "last.keras").unlink()
    with pytest.raises(EdgeEmotionError, match="does not exist"):
        compare_runs([tmp_path / "broken"], drawn_faces, "validation")
