import json
import os
from pathlib import Path

import pytest
from edge_emotion.edge_runtime.errors import EdgeEmotionError
from edge_emotion.train.runs import any_epoch_finished, by_age, new_folder, newest_unfinished, read_run


def make(root: Path, name: str, time_s: int, *, finished: bool = False, schema: int = 1) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    record: dict[str, object] = {"schema_version": schema, "config": {}, "data": {}}
    record |= {"metrics": {}} if finished else {}
    (folder / "run.json").write_text(json.dumps(record))
    os.utime(folder / "run.json", (time_s, time_s))
    return folder


def test_the_newest_unfinished_run_is_the_one_worked_on_last(tmp_path: Path) -> None:
    old, new = make(tmp_path, "b", 100), make(tmp_path, "a", 200)
    make(tmp_path, "finished", 900, finished=True)
    make(tmp_path, "other-schema", 950, schema=99)
    (tmp_path / "no-run").mkdir()
    assert newest_unfinished(tmp_path) == new
    (old / "resume.npz").touch()
    os.utime(old / "resume.npz", (300, 300))
    assert newest_unfinished(tmp_path) == old
    assert [folder.name for folder in by_age(tmp_path)] == ["other-schema", "finished", "b", "a"]


@pytest.mark.parametrize("left", ["resume.npz", "history.csv", "metrics"])
def test_a_run_finished_an_epoch_where_anything_says_so(tmp_path: Path, left: str) -> None:
    folder = make(tmp_path, "run", 100, finished=left == "metrics")
    if left != "metrics":
        assert not any_epoch_finished(folder)
        (folder / left).touch()
    assert any_epoch_finished(folder)


@pytest.mark.parametrize("missing", ["config", "data"])
def test_a_record_without_its_settings_or_data_is_not_whole(tmp_path: Path, missing: str) -> None:
    folder = make(tmp_path, "run", 100)
    record = read_run(folder)
    del record[missing]
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(EdgeEmotionError, match="is not whole: it lacks the settings or the data"):
        read_run(folder)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(EdgeEmotionError, match="nothing to resume"):
        newest_unfinished(tmp_path / "missing")
    make(tmp_path, "finished", 1, finished=True)
    with pytest.raises(EdgeEmotionError, match="nothing to resume"):
        newest_unfinished(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_record_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(EdgeEmotionError, match=f"^{tmp_path / 'run.json'} (is not whole|has another schema)"):
        read_run(tmp_path)


def test_a_folder_without_a_record_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(EdgeEmotionError, match=f"^{tmp_path} is not a run folder: run.json: No such file"):
        read_run(tmp_path)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20261124-120000")
    with new_folder("tiny") as first, new_folder("tiny") as second, new_folder("tiny") as third:
        assert [str(folder) for folder in (first, second, third)] == [
            "runs/20261124-120000-tiny", "runs/20261124-120000-tiny-2", "runs/20261124-120000-tiny-3"
        ]  # fmt: skip
        (second / "run.json").touch()
    assert list(Path("runs").iterdir()) == [second]


def test_a_new_folder_that_nothing_was_written_into_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt), new_folder("tiny"):
        raise KeyboardInterrupt
    assert not Path("runs").exists()
    Path("runs").touch()
    with pytest.raises(EdgeEmotionError, match=r"cannot write to runs: .* name another with --out"), new_folder("tiny"):
        pass
