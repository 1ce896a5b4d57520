from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.benchmarks.client import Worker, WorkerError
from edge_emotion.benchmarks.worker import serve, status_mb

TINY = Path(__file__).parents[1] / "models" / "brightness-float32.tflite"


def python(code: str) -> Worker:
    return Worker((sys.executable, "-c", code))


def test_a_worker_that_ends_is_an_error_with_its_last_words() -> None:
    with (
        python("import sys; sys.stderr.write('one\\nno memory\\n'); sys.exit(7)") as worker,
        pytest.raises(WorkerError, match=r"crashed \(exit code 7\): no memory"),
    ):
        worker.ask("open")


def test_a_worker_that_never_started_its_protocol() -> None:
    with Worker((sys.executable, "-c", "pass")) as worker:
        worker._process.wait()
        with pytest.raises(WorkerError, match="exit code 0"):
            worker.ask("open")
        assert worker.ended


def test_a_worker_that_hangs_is_stopped() -> None:
    with python("import time; time.sleep(3600)") as worker:
        with pytest.raises(WorkerError, match="no answer to run"):
            worker.ask("run", patience_s=0.1)
        worker._process.wait()
        assert worker.ended


def test_an_answer_in_pieces_is_put_together() -> None:
    code = "import os, sys; sys.stdin.readline(); os.write(1, b'{\"a\":'); os.write(1, b' 1}\\n'); sys.stdin.readline()"
    with python(code) as worker:
        assert worker.ask("x") == {"a": 1}


def test_noise_on_stdout_does_not_reach_the_protocol() -> None:
    code = (
        "from edge_emotion.benchmarks import worker\n"
        "def noisy(*args):\n    import os; os.write(1, b'hello from native code\\n'); raise ValueError('no')\n"
        "worker.main(noisy)"
    )
    with python(code) as worker:
        arguments: dict[str, Any] = dict(model=str(TINY), declared=None, backend="auto", threads=1, cpus=None)
        with pytest.raises(WorkerError, match="ValueError: no"):
            worker.ask("open", **arguments)
        assert not worker.ended


def answers(*requests: Mapping[str, object]) -> list[dict[str, Any]]:
    replies = io.StringIO()
    serve(io.StringIO("".join(json.dumps(r) + "\n" for r in requests)), replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def test_nothing_asked_nothing_answered() -> None:
    assert answers() == []


def test_requests_before_open_and_unknown_ones_are_answered_with_errors() -> None:
    run, unknown, missing = answers(
        {"do": "run", "runs": 1, "seconds": 0},
        {"do": "fly"},
        {"do": "open", "model": "/nowhere.tflite", "declared": None, "backend": "auto", "threads": 1, "cpus": None},
    )
    assert run == {"error": "no model is open in this worker"}
    assert "fly" in unknown["error"]
    assert "nowhere" in missing["error"]


def test_a_real_model_is_opened_timed_and_looked_into() -> None:
    opening = {"do": "open", "model": str(TINY), "declared": None, "backend": "auto", "threads": 1, "cpus": None}
    opened, run, network, memory = answers(
        opening, {"do": "run", "runs": 3, "seconds": 0.0}, {"do": "network"}, {"do": "memory"}
    )
    assert opened["size_bytes"] == TINY.stat().st_size
    assert len(run["samples_ms"]) == 3
    assert network["precision"] == "float32"
    assert network["macs"] == 3
    assert memory["rss_mb"] is None or memory["rss_mb"] > 1


def test_memory_that_the_kernel_does_not_tell() -> None:
    assert status_mb("VmNothing") is None
