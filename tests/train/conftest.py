from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras on TensorFlow."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (the train extra)")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from edge_emotion.train.keras_model import import_keras

    return import_keras()
