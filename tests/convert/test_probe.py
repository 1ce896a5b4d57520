from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.convert import edgetpu
from edge_emotion.convert import probe as probe_module
from edge_emotion.convert.graph import Graph, Operator, Tensor
from edge_emotion.convert.probe import TFLITE_PYTHON, Probe, probe, python_for
from edge_emotion.convert.targets import Reference, edge_tpu, judge, noise_images
from edge_emotion.edge_runtime.metadata import ModelMetadata

from .conftest import LABELS, MODELS, SPEC

METADATA = ModelMetadata(LABELS, SPEC)


def levels() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([np.full((48, 48, 1), level, np.float32) for level in (0.0, 0.5, 1.0)])


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_known_model_gives_its_known_answers(precision: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert")
    found = probe((MODELS / f"brightness-{precision}.tflite").read_bytes(), levels(), "litert")
    assert found is not None
    assert found.outputs is not None
    np.testing.assert_allclose(found.outputs, [[2.8, 0.6, -5.2], [-1.2, 0.6, -1.2], [-5.2, 0.6, 2.8]], atol=0.1)
    assert found.version


def test_scripts_in_the_working_directory_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random.py").write_text("raise SystemExit('stray')\n")
    found = probe((MODELS / "brightness-int8.tflite").read_bytes(), levels(), "litert")
    assert found is not None
    assert found.failure == ""


def test_a_file_that_does_not_load_is_a_failure_with_a_reason() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert")
    found = probe(b"\x1c\0\0\0TFL3" + b"\0" * 64, levels(), "litert")
    assert found is not None
    assert found.outputs is None
    assert found.failure


def fake_python(tmp_path: Path, body: str) -> str:
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport os, signal, sys\n{body}\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "it crashes (SIGSEGV)"),
        (
            "sys.exit('ValueError: Didn\\'t find op for builtin opcode')",
            "ValueError: Didn't find op for builtin opcode",
        ),
        ("sys.exit(3)", "exit code 3"),
        ("sys.exit(sys.argv[1])", "-c"),  # and no option that only newer Pythons know
    ],
)
def test_a_crash_in_the_other_python_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, failure: str
) -> None:
    monkeypatch.setattr(probe_module, "find_spec", lambda name: None)
    monkeypatch.setenv(TFLITE_PYTHON, fake_python(tmp_path, body))
    found = probe(b"model", levels(), "tflite-runtime")
    assert found is not None
    assert (found.runtime, found.outputs, found.failure) == ("tflite-runtime", None, failure)


def test_a_python_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "find_spec", lambda name: None)
    monkeypatch.setenv(TFLITE_PYTHON, str(tmp_path / "nowhere"))
    found = probe(b"model", levels(), "tflite-runtime")
    assert found is not None
    assert "cannot be started" in found.failure


def test_a_runtime_that_is_not_installed_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "find_spec", lambda name: None)
    monkeypatch.delenv(TFLITE_PYTHON, raising=False)
    assert python_for("litert") is None
    assert probe(b"model", levels(), "tflite-runtime") is None


def dense(version: int, min_runtime: str) -> Graph:
    tensors = tuple(Tensor(i, f"t{i}", "INT8", (1, 4), (0.1,), (0,)) for i in range(2))
    return Graph((Operator(0, "FULLY_CONNECTED", version, (0,), (1,)),), tensors, (0,), (1,), 1, min_runtime)


@pytest.mark.parametrize(
    ("graph", "verdict", "reason"),
    [
        (dense(4, "1.14.0"), "likely", "states 1.14.0"),
        (dense(4, "2.14.0"), "likely", "states 2.14.0"),
        (dense(12, "2.17.0"), "unlikely", "FULLY_CONNECTED version 12"),
        (dense(4, "2.16.0"), "unlikely", "states 2.16.0"),
    ],
)
def test_rules_judge_where_nothing_can_be_run(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, verdict: str, reason: str
) -> None:
    monkeypatch.setattr("edge_emotion.convert.targets.probe", lambda *a: None)
    verdicts, partitions = judge(b"", graph, METADATA, noise_images(METADATA))
    assert verdicts["tflite-runtime 2.14"].verdict == verdict
    assert reason in verdicts["tflite-runtime 2.14"].reason
    assert verdicts["litert"].verdict == "likely"
    assert partitions == 0


@pytest.mark.parametrize(
    ("scale", "noise", "verdict"),
    [
        (1.0, 0.0, "runs"),
        (0.7, 0.0, "runs"),  # 10 dB, and every label the same
        (1.0, 0.4, "garbage"),  # 8 dB, and too few the same
        (1.0, 5.0, "garbage"),
        (0.0, 0.0, "garbage"),
        (0.1, 0.0, "garbage"),
    ],
)
def test_answers_unlike_the_float_model_are_garbage(
    monkeypatch: pytest.MonkeyPatch, scale: float, noise: float, verdict: str
) -> None:
    rng = np.random.default_rng(0)
    right = rng.normal(0, 1, (64, 3)).astype(np.float32)
    given = (scale * right + noise * rng.normal(0, 1, right.shape) + 7).astype(np.float32)  # a shift changes nothing
    monkeypatch.setattr("edge_emotion.convert.targets.probe", lambda *a: Probe("litert", "2", given, 1))
    images = noise_images(METADATA, 64)
    verdicts, partitions = judge(b"", dense(4, ""), METADATA, images, Reference(images, right))
    assert verdicts["litert"].verdict == verdict
    assert verdicts["xnnpack int8"].verdict == "runs"
    assert partitions == 1


@pytest.mark.parametrize(
    ("partitions", "verdict", "reason"),
    [
        (0, "fails", "took none of the graph"),
        (1, "runs", "one delegate partition"),
        (3, "runs", "3 partitions: slower"),
    ],
)
def test_what_the_delegate_took_decides(
    monkeypatch: pytest.MonkeyPatch, partitions: int, verdict: str, reason: str
) -> None:
    given = np.ones((32, 3), np.float32)
    monkeypatch.setattr("edge_emotion.convert.targets.probe", lambda *a: Probe("litert", "2", given, partitions))
    found = judge(b"", dense(4, ""), METADATA, noise_images(METADATA))[0]["xnnpack int8"]
    assert found.verdict == verdict
    assert reason in found.reason


def weighing(size_bytes: int, name: str = "RELU") -> Graph:
    """One operator that keeps the Edge TPU's rules, and weights."""
    graph = dense(4, "")
    weights = Tensor(2, "weights", "INT8", (size_bytes,), data=bytes(size_bytes))
    return Graph((Operator(0, name, 1, (0,), (1,)),), (*graph.tensors, weights), (0,), (1,))


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (weighing(edgetpu.CACHE_BYTES), "they fit in its 7.8 MiB cache"),
        (weighing(edgetpu.CACHE_BYTES + 1), "they do not fit"),
        (weighing(1, "edgetpu-custom-op"), "compiled for the Edge TPU"),
    ],
    ids=["fits", "does not fit", "compiled"],
)
def test_what_an_edge_tpu_can_hold_is_likely_to_run_there(graph: Graph, reason: str) -> None:
    found = edge_tpu(graph)
    assert found.verdict == "likely"
    assert reason in found.reason


def test_near_ties_that_flip_are_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.tile(np.array([[1.0, 0.99, -2.0]], np.float32), (32, 1))
    given = np.tile(np.array([[0.99, 1.0, -2.0]], np.float32), (32, 1))
    monkeypatch.setattr("edge_emotion.convert.targets.probe", lambda *a: Probe("litert", "2", given, 1))
    images = noise_images(METADATA)
    verdicts, _ = judge(b"", dense(4, ""), METADATA, images, Reference(images, right))
    assert "agrees with the float model on 0.0 % of 32 images" in verdicts["litert"].reason
    assert verdicts["litert"].verdict == "runs"


def test_outputs_that_are_not_finite_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.full((32, 3), np.nan, np.float32)
    monkeypatch.setattr("edge_emotion.convert.targets.probe", lambda *a: Probe("litert", "2", given, 3))
    verdicts, _ = judge(b"", dense(4, ""), METADATA, noise_images(METADATA))
    assert verdicts["litert"].verdict == "fails"
    assert "3 partitions" in verdicts["xnnpack int8"].reason


def test_noise_is_always_the_same_and_fills_the_input() -> None:
    assert noise_images(METADATA, 5).shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(noise_images(METADATA), noise_images(METADATA))
