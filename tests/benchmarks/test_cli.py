"""`edge-emotion bench` on the two tiny models of the tests, in real worker processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.benchmarks import cli
from edge_emotion.benchmarks.instruction_limits import InstructionLimits
from edge_emotion.benchmarks.measurement import Measurement
from edge_emotion.edge_runtime import zoo
from edge_emotion.edge_runtime.cli import main
from edge_emotion.edge_runtime.errors import ModelError, OptionError
from edge_emotion.edge_runtime.metadata import strip

MODELS = Path(__file__).parents[1] / "models"
FLOAT, INT8 = str(MODELS / "brightness-float32.tflite"), str(MODELS / "brightness-int8.tflite")
LEVELS = {"dark": 10, "grey": 128, "bright": 245}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images a class, and one grey one that is called dark."""
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "pictures"
    for label, level in LEVELS.items():
        folder = root / "validation" / label
        folder.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 48), level + number, np.uint8))
    cv2.imwrite(str(root / "validation" / "dark" / "wrong.png"), np.full((48, 48), 130, np.uint8))
    return root


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command in this process; its workers are real."""
    monkeypatch.setattr(sys, "argv", ["edge-emotion", "bench", *arguments])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    out, err = capsys.readouterr()
    return code, out, err


FAST = ("--seconds", "0.05", "--runs", "10")


def test_the_whole_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    code, text, _ = run(
        capsys,
        monkeypatch,
        FLOAT,
        INT8,
        "--data",
        str(pictures),
        "--out",
        str(out),
        "--json",
        "--sustained",
        "0.2",
        *FAST,
    )
    assert code == 0
    document = json.loads(text)
    assert document == json.loads((out / "report.json").read_text())
    full, quantised = document["results"]
    assert [full["model"], quantised["model"]] == ["brightness-float32", "brightness-int8"]
    assert [full["precision"], quantised["precision"]] == ["float32", "int8"]
    for row in (full, quantised):
        assert row["n"] == 7
        assert row["accuracy"] == pytest.approx(6 / 7)
        assert row["latency_ms"]["n"] >= 10
        assert row["latency_ms"]["min"] > 0
        assert row["macs"] == 3
    assert quantised["accuracy_drop_pp"] is None  # these two files do not say that they are of one network
    assert len(document["sustained"]["points"]) >= 1
    assert document["environment"]["packages"]["numpy"] == np.__version__


def test_table_baseline_and_gate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    code, text, _ = run(capsys, monkeypatch, FLOAT, "--save-baseline", str(saved), *FAST)
    assert code == 0
    assert text.startswith("model ")
    assert "recommendation: brightness-float32" in text
    faster = json.loads(saved.read_text())
    faster["results"][0]["round_p50_ms"] = [1e-6] * 10
    faster["results"][0]["latency_ms"]["p50"] = 1e-6
    saved.write_text(json.dumps(faster))
    before = saved.read_bytes()
    code, text, err = run(capsys, monkeypatch, FLOAT, "--baseline", str(saved), "--save-baseline", str(saved), *FAST)
    assert code == 3
    assert "FAILED" in text
    assert "worse than" in err
    assert saved.read_bytes() == before


def test_a_baseline_replaces_only_its_like_and_says_which_rows_go(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved, limits = tmp_path / "saved.json", tmp_path / "emulated.json"
    code, _, err = run(capsys, monkeypatch, FLOAT, INT8, "--save-baseline", str(saved), *FAST)
    assert (code, "no longer has" in err) == (0, False)
    backend = json.loads(saved.read_text())["results"][0]["backend"]
    code, _, err = run(capsys, monkeypatch, INT8, "--save-baseline", str(saved), *FAST)
    assert code == 0
    assert f"{saved} no longer has brightness-float32 float32 {backend}, threads 1\n" in err
    InstructionLimits().write(limits)
    before = limits.read_bytes()
    code, out, err = run(capsys, monkeypatch, FLOAT, "--save-baseline", str(limits), *FAST)
    assert (code, out) == (2, "")
    assert "emulated.json is there and is no baseline of times" in err
    assert limits.read_bytes() == before


def test_a_deadline_that_nothing_meets_exits_with_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text, err = run(capsys, monkeypatch, FLOAT, "--deadline-ms", "0.000001", *FAST)
    assert code == 3
    assert "recommendation: none meets p95" in text
    assert "none meets" in err


def test_a_file_of_others_needs_labels_and_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Path
) -> None:
    peer = tmp_path / "peer.tflite"
    peer.write_bytes(strip(Path(INT8).read_bytes()))
    code, _, err = run(capsys, monkeypatch, str(peer), *FAST)
    assert code == 1
    assert "--labels" in err
    described = ("--labels", "dark,grey,bright", "--input", "48x48:grey:0:1")
    code, text, _ = run(capsys, monkeypatch, FLOAT, str(peer), *described, "--data", str(pictures), "--json", *FAST)
    assert code == 0
    full, foreign = json.loads(text)["results"]
    assert foreign["precision"] == "int8"  # what its tensors say
    assert foreign["accuracy"] == full["accuracy"]
    assert foreign["accuracy_reference"] is None  # it does not say which network it is


def test_labels_rename_the_outputs_of_files_that_say_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    described = ("--labels", "bright,grey,dark", "--data", str(pictures))
    code, text, _ = run(capsys, monkeypatch, INT8, *described, "--json", *FAST)
    assert code == 0
    (row,) = json.loads(text)["results"]
    assert row["precision"] == "int8"
    assert row["labels"] == ["bright", "grey", "dark"]
    assert row["accuracy"] == pytest.approx(2 / 7)  # the grey ones alone keep their name and place


@pytest.mark.train
def test_a_declared_file_that_gives_probabilities_is_scored_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Path
) -> None:
    tf = pytest.importorskip("tensorflow", reason="makes a model with a softmax: needs the train extra")
    kernel, bias = np.array([[-8.0, 0.0, 8.0]], np.float32), np.array([2.8, 0.6, -5.2], np.float32)

    def brightness(image: Any) -> Any:
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(image, axis=[1, 2]), kernel) + bias)

    network = tf.function(brightness, input_signature=[tf.TensorSpec([1, 48, 48, 1], tf.float32)])
    peer = tmp_path / "peer.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [tf.float16]
    peer.write_bytes(converter.convert())
    described = ("--labels", "dark,grey,bright", "--data", str(pictures))
    code, text, _ = run(capsys, monkeypatch, str(peer), FLOAT, *described, "--json", *FAST)
    assert code == 0
    foreign, own = json.loads(text)["results"]
    assert foreign["ece"] == pytest.approx(own["ece"], abs=1e-3)
    assert foreign["accuracy"] == own["accuracy"]
    assert foreign["precision"] == "float16"


def test_an_interrupted_bench_prints_and_exits_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rounds: list[object] = []

    def interrupted(self: Measurement, runs: int, seconds: float) -> list[float]:
        if len(rounds) == 3:
            raise KeyboardInterrupt
        rounds.append(self)
        return [1.5] * runs

    monkeypatch.setattr(Measurement, "run", interrupted)
    baseline, out = tmp_path / "baseline.json", tmp_path / "report"
    code, text, _ = run(
        capsys, monkeypatch, FLOAT, "--out", str(out), "--save-baseline", str(baseline), "--json", *FAST
    )
    assert code == 130
    document = json.loads(text)
    assert document["interrupted"]
    assert document["results"][0]["latency_ms"]["p50"] == 1.5
    assert len(document["results"][0]["round_p50_ms"]) == 3
    assert (out / "report.html").exists()
    assert not baseline.exists()  # half a bench is no baseline


def test_a_broken_file_is_a_row_beside_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x00" * 64)
    code, text, _ = run(capsys, monkeypatch, FLOAT, str(broken), "--labels", "a,b", *FAST)
    assert code == 0
    assert "broken, 1 thread: " in text
    assert "is not a TFLite file" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.tflite",), 1, "does not exist"),
        ((FLOAT, "--threads", "1,x"), 2, "--threads"),
        ((FLOAT, "--threads", "0"), 2, "1 to 64"),
        ((FLOAT, "--threads", "2,2"), 2, "twice"),
        ((FLOAT, "--backend", "cuda"), 2, "unknown backend"),
        ((FLOAT, "--seconds", "0"), 2, "--seconds"),
        ((FLOAT, "--seconds", "nan"), 2, "--seconds"),
        ((FLOAT, "--runs", "0"), 2, "--runs"),
        ((FLOAT, "--min-accuracy", "60"), 2, "fraction"),
        ((FLOAT, "--deadline-ms", "-1"), 2, "--deadline-ms"),
        ((FLOAT, "--deadline-ms", "inf"), 2, "--deadline-ms must be finite"),
        ((FLOAT, "--max-slowdown", "nan"), 2, "--max-slowdown"),
        ((FLOAT, "--sustained", "-1"), 2, "--sustained"),
        ((FLOAT, "--video", "none.mp4"), 2, "none.mp4"),
        ((FLOAT, "--video", FLOAT, "--detector", "magic"), 2, "unknown detector"),
        ((FLOAT, "--input", "48x48:grey:0:1"), 2, "says its own input"),
        ((FLOAT, "--labels", "a,b"), 2, "3 outputs (dark, grey, bright), got 2 names"),
        ((FLOAT, "--baseline", "none.json"), 2, "none.json"),
        ((FLOAT, "--baseline", FLOAT), 2, "not JSON"),
        ((FLOAT, "--max-drop", "-1"), 2, "negative"),
        ((FLOAT, "--data", "nowhere"), 1, "nowhere"),
        ((FLOAT, "--emulate", "cortex-a72", "--deadline-ms", "1", "--threads", "1"), 2, "no use for --threads, --dead"),
        ((FLOAT, "--emulate", "cortex-a72", "--no-pin", "--classes", "dark,grey"), 2, "no use for --classes, --pin"),
    ],
)
def test_wrong_input_is_one_clear_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    got, out, err = run(capsys, monkeypatch, *arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_data_with_other_labels(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    (pictures / "validation" / "dark").rename(pictures / "validation" / "night")
    (pictures / "validation" / "grey").rename(pictures / "validation" / "dusk")
    code, out, err = run(capsys, monkeypatch, FLOAT, "--data", str(pictures), *FAST)
    assert (code, out) == (1, "")
    assert "the model knows dark, grey, bright" in err


def test_an_output_folder_that_cannot_be_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said before anything is measured, and with the option that names it."""
    monkeypatch.setattr("edge_emotion.benchmarks.harness.run_bench", lambda *_, **__: pytest.fail("it was measured"))
    (tmp_path / "file").write_text("")
    for option in ("--out", "--save-baseline"):
        code, out, err = run(capsys, monkeypatch, FLOAT, option, str(tmp_path / "file" / "x" / "y"), *FAST)
        assert (code, out) == (1, "")
        assert "file/x/y: " in err
        assert f"name another with {option}" in err


def test_the_bare_command_takes_the_bundled_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo, "bundled_models", lambda: {"edge-m": Path(FLOAT)})
    assert cli.bundled() == ["edge-m"]
    assert "edge-m" in capsys.readouterr().err
    monkeypatch.setattr(zoo, "bundled_models", dict)
    with pytest.raises(ModelError, match="no models are bundled"):
        cli.bundled()


def test_threads_are_numbers() -> None:
    assert cli.parse_threads("1, 2,4") == (1, 2, 4)
    with pytest.raises(OptionError):
        cli.parse_threads("")


def test_the_bench_of_a_device_loads_no_tensorflow() -> None:
    code = (
        "import sys\n"
        f"from edge_emotion.benchmarks.harness import run_bench\n"
        "from edge_emotion.benchmarks.config import BenchConfig\n"
        "from edge_emotion.benchmarks.html import render_html\n"
        f"report = run_bench([{FLOAT!r}], BenchConfig(seconds=0.01, min_runs=1))\n"
        "render_html(report)\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
