"""Whether the bundled models still say here what they said where they were made, and how fast.

`python -m edge_emotion.edge_runtime.self_test` prints one JSON document; `--record` writes the outputs of this machine
beside the models, which is done once when models are released. `doctor` runs it in a process of its own, because a
runtime built for another numpy does not fail: it crashes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import write_atomically
from .classifier import EmotionClassifier
from .metadata import InputSpec
from .preprocess import Pixels
from .zoo import BUNDLED, bundled_models

RECORD = "self-test.json"
INT8_STEPS = 4  # kernel sets differ by up to 4 steps of the output (measured, x86-64 and Arm)
FLOAT_TOLERANCE = 0.02  # of a logit
SPEED_MODEL = "edge-m"


def patterns(spec: InputSpec) -> Pixels:
    """Three test pictures, uint8 (3, H, W, C), made of whole numbers only so that every machine makes the same."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.int64) for n in spec.shape), indexing="ij")
    pictures = [3 * x + 2 * y + 40 * c, x * y // 4 + 30 * c, (x - spec.width // 2) ** 2 + (y - spec.height // 2) ** 2]
    return np.stack([np.abs(p % 511 - 255) for p in pictures]).astype(np.uint8)


def outputs(path: Path) -> tuple[NDArray[np.float32], float]:
    """Logits of the patterns, (3, classes), and how far they may be off on another machine."""
    with EmotionClassifier(path) as classifier:
        tolerance = max(INT8_STEPS * classifier.output_step, FLOAT_TOLERANCE)
        return classifier.logits(patterns(classifier.metadata.input)), tolerance


def run_self_test(models: dict[str, Path], recorded: dict[str, Any], speed_s: float = 2.0) -> dict[str, Any]:
    """Name → {agrees: true, false, or null without a record; difference; tolerance}, and the speed of one model."""
    document: dict[str, Any] = {"models": {}, "speed": None}
    for name, path in models.items():
        got, tolerance = outputs(path)
        wanted = recorded.get(name)
        same_shape = wanted is not None and np.shape(wanted) == got.shape
        difference = float(np.abs(got - np.asarray(wanted, np.float32)).max()) if same_shape else None
        document["models"][name] = {
            "agrees": None if wanted is None else difference is not None and difference <= tolerance,
            "difference": difference,
            "tolerance": tolerance,
        }
    if models:
        name = SPEED_MODEL if SPEED_MODEL in models else next(iter(models))
        document["speed"] = {"model": name, **speed(models[name], speed_s)}
    return document


def speed(path: Path, seconds: float) -> dict[str, float]:
    """Median milliseconds of one face, one thread, after ten to warm up, over so many seconds and at least ten runs."""
    with EmotionClassifier(path) as classifier:
        picture = patterns(classifier.metadata.input)[0]
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 20 or time.perf_counter() < end:
            started = time.perf_counter()
            classifier.predict(picture)
            times.append((time.perf_counter() - started) * 1000)
    return {"p50_ms": float(np.median(times[10:])), "runs": len(times) - 10}


def read_record(folder: Path = BUNDLED) -> dict[str, Any]:
    """The recorded outputs, name → three lists of logits; empty when there are none."""
    try:
        document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def record(models: dict[str, Path], folder: Path = BUNDLED) -> None:
    """Write the outputs of this machine beside the models."""
    document = {name: np.round(outputs(path)[0].astype(np.float64), 6).tolist() for name, path in models.items()}
    write_atomically(folder / RECORD, (json.dumps(document, indent=1) + "\n").encode())


if __name__ == "__main__":
    if "--record" in sys.argv[1:]:
        record(bundled_models())
    else:
        print(json.dumps(run_self_test(bundled_models(), read_record())))
