"""Fakes for the bench: a model file that says how it behaves, a machine that is never hot, a small dataset."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.benchmarks.accuracy import Accuracy
from edge_emotion.benchmarks.config import DEFAULTS, BenchConfig
from edge_emotion.benchmarks.environment import Machine
from edge_emotion.benchmarks.latency import Latency
from edge_emotion.benchmarks.recommend import recommend
from edge_emotion.benchmarks.report import BenchReport, Row
from edge_emotion.edge_runtime.board import Ran
from edge_emotion.edge_runtime.metrics import score

LABELS = ("angry", "happy", "neutral")
IMAGES_A_CLASS = 10

MakeModel = Callable[..., Path]
MakeConfig = Callable[..., BenchConfig]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    def make(name: str = "fake", **behaviour: Any) -> Path:
        path = tmp_path / f"{name}.tflite"
        path.write_text(json.dumps({"labels": list(LABELS), **behaviour}))
        return path

    return make


@pytest.fixture
def make_config() -> MakeConfig:
    command = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))

    def make(**values: Any) -> BenchConfig:
        return BenchConfig(**{"seconds": 0.2, "min_runs": 20, "pin": False, "command": command, **values})

    return make


class FakeSystem:
    """A machine from texts: path → content."""

    def __init__(self, files: dict[str, str] | None = None) -> None:
        self.files = files or {}

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def glob(self, pattern: str) -> list[str]:
        return []

    def writable(self, path: str) -> bool:
        return False

    def run(self, *command: str, timeout_s: float = 10.0) -> Ran:
        return Ran(127)


@pytest.fixture
def bare_machine() -> Machine:
    """A machine that tells nothing: no governor, no temperature, no load."""
    return Machine(FakeSystem())


@pytest.fixture
def make_machine() -> Callable[[dict[str, str]], Machine]:
    return lambda files: Machine(FakeSystem(files))


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Validation images whose first pixel is 40 × class + number: the fake model's right answer."""
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "faces"
    for index, label in enumerate(LABELS):
        folder = root / "validation" / label
        folder.mkdir(parents=True)
        for number in range(IMAGES_A_CLASS):
            image = np.full((8, 8), 40 * index + number, np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


MakeRow = Callable[..., Row]


@pytest.fixture
def make_row() -> MakeRow:
    """A row that was measured: p50 and accuracy (a fraction of 1000 images of three classes) as asked."""

    def make(
        model: str = "edge",
        precision: str = "float32",
        p50: float = 1.0,
        accuracy: float | None = None,
        reference: str | None = None,
        **values: Any,
    ) -> Row:
        samples = np.linspace(0.95 * p50, 1.05 * p50, 101)
        block = None
        if accuracy is not None:
            right = round(1000 * accuracy)
            truth = np.arange(1000) % 3
            guess = np.where(np.arange(1000) < right, truth, (truth + 1) % 3)
            metrics = score(np.eye(3)[guess], truth, LABELS)
            block = Accuracy("validation", "d1", metrics, reference)
        return replace(
            Row(
                model=model,
                path=f"{model}.tflite",
                precision=precision,
                backend="litert",
                threads=1,
                size_bytes=1000,
                accuracy=block,
                latency=Latency.of(samples),
                round_p50_ms=(p50,) * 10,
                peak_rss_mb=70.0,
                samples_ms=samples,
            ),
            **values,
        )

    return make


@pytest.fixture
def make_report(bare_machine: Machine) -> Callable[..., BenchReport]:
    def make(*rows: Row, **values: Any) -> BenchReport:
        report = BenchReport(bare_machine.environment(), DEFAULTS.to_json(), rows, recommend(rows), overhead_us=0.1)
        return replace(report, **values)

    return make
