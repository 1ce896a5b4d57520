from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime import self_test
from edge_emotion.edge_runtime.metadata import InputSpec
from edge_emotion.edge_runtime.zoo import bundled_models
from numpy.typing import NDArray


def test_the_patterns_are_these_on_every_machine() -> None:
    import hashlib

    grey = self_test.patterns(InputSpec(48, 48))
    assert grey.shape == (3, 48, 48, 1)
    assert grey.dtype == np.uint8
    assert all(np.ptp(picture) > 60 for picture in grey)
    colour = self_test.patterns(InputSpec(64, 40, "rgb"))
    assert colour.shape == (3, 40, 64, 3)
    assert hashlib.sha256(grey.tobytes()).hexdigest()[:16] == "2b948ede5bae003c"


def test_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    got = np.array([[1.0, 2.0], [0.0, 0.0], [5.0, -5.0]], np.float32)

    def fake(path: Path) -> tuple[NDArray[np.float32], float]:
        return got, 0.5

    monkeypatch.setattr(self_test, "outputs", fake)
    monkeypatch.setattr(self_test, "speed", lambda path, seconds: {"p50_ms": 1.0, "runs": 10})
    recorded = {"same": got.tolist(), "near": (got + 0.4).tolist(), "far": (got + 0.6).tolist(), "odd": [[1.0]]}
    document = self_test.run_self_test({name: Path(name) for name in (*recorded, "new")}, recorded)
    agrees = {name: result["agrees"] for name, result in document["models"].items()}
    assert agrees == {"same": True, "near": True, "far": False, "odd": False, "new": None}


def test_the_bundled_models_say_what_was_recorded() -> None:
    document = self_test.run_self_test(bundled_models(), self_test.read_record(), speed_s=0.0)
    agrees = {name: result["agrees"] for name, result in document["models"].items()}
    assert agrees == {"edge-m": True, "edge-m-float16": True, "edge-s": True}


def test_nothing_bundled_and_nothing_recorded(tmp_path: Path) -> None:
    assert self_test.read_record(tmp_path) == {}
    (tmp_path / self_test.RECORD).write_text("[1")
    assert self_test.read_record(tmp_path) == {}
    assert self_test.run_self_test({}, {}) == {"models": {}, "speed": None}


def test_what_is_recorded_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got = np.array([[1.25, 2.0]] * 3, np.float32)
    monkeypatch.setattr(self_test, "outputs", lambda path: (got, 0.1))
    self_test.record({"edge-m": Path("m")}, tmp_path)
    assert self_test.read_record(tmp_path) == {"edge-m": got.tolist()}
