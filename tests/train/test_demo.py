import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime import metadata as model_metadata
from edge_emotion.train import cli, demo

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.train


def test_the_whole_chain(run: Run, keras: Any) -> None:
    code, out, err = run("demo", "--images", 8, "--epochs", 1, "--seconds", 0.1, "--out", "d", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["schema_version"] == 1
    rows = document["bench"]["results"]
    assert {row["precision"] for row in rows} == {"float32", "float16", "dynamic", "int8"}
    assert all(row["latency_ms"]["p50"] > 0 for row in rows)
    assert Path(document["report"]).stat().st_size > 1000
    assert Path(document["run"], "confusion.png").exists()
    int8 = model_metadata.read(Path(document["run"], "tiny-int8.tflite"))
    assert int8 is not None
    assert int8.precision == "int8"
    assert "nothing of real faces" in err


def test_a_folder_in_use_is_left_alone(run: Run, keras: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine.txt").write_text("mine")
    code, out, err = run("demo", "--out", "d")
    assert (code, out) == (1, "")
    assert "not an empty folder" in err
    assert (tmp_path / "d" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_timing_that_bench_refuses_is_refused_at_once(run: Run, seconds: str) -> None:
    code, out, err = run("demo", "--seconds", seconds, "--out", "d")
    assert (code, out, "--seconds must be above 0" in err) == (2, "", True)
    assert not Path("d").exists()


def test_ctrl_c_keeps_what_was_made(run: Run, keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train_and_plot", interrupted)
    code, _, err = run("demo", "--images", 8, "--out", "d")
    assert code == 130
    assert "what was made until now is in d/" in err
    assert len(list(Path("d", "faces", "train", "happy").iterdir())) == 8


def test_bundled_models_are_shown_with_what_they_were_measured_at(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Path(__file__).parents[1] / "models"
    found = {path.stem: path for path in models.glob("brightness-*.tflite")}
    assert found
    monkeypatch.setattr("edge_emotion.edge_runtime.zoo.bundled_models", lambda: found)
    lines = demo._bundled()
    assert len(lines) == len(found) + 1
    assert all(any(name in line for line in lines) for name in found)
    monkeypatch.setattr("edge_emotion.edge_runtime.zoo.bundled_models", dict)
    assert demo._bundled() == []
