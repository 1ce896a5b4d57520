"""A bench worker with a fake model on a fake clock, run as a script by the tests.

The model file is JSON: how long each thing takes by the clock, what is answered, and how it breaks.

    labels, precision, source    metadata
    open_ms, first_ms, delay_ms  of opening, of the first inference, of each other one (a list is gone through in turn);
                                 threads share an inference evenly
    wrong                        images (by the value of their first pixel) that get the label after the true one
    nan                          whether logits are not a number
    dies, hangs                  "open", or the number of the inference
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import numpy as np
from edge_emotion.benchmarks.worker import main
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.metadata import InputSpec, ModelMetadata

TICK_NS = 1000
PIXELS_A_CLASS = 40


class Clock:
    """Every look at it takes a microsecond."""

    now = 0

    def __call__(self) -> int:
        self.now += TICK_NS
        return self.now


class FakeModel:
    """Behaves as its file says."""

    sha256 = "00"

    def __init__(
        self, clock: Clock, behaviour: dict[str, Any], declared: ModelMetadata | None, backend: str, threads: int
    ) -> None:
        self.backend, self._threads = backend, threads
        self._behaviour, self._clock, self._calls = behaviour, clock, 0
        labels = behaviour.get("labels")
        if labels is None and declared is None:
            raise ModelError("the model carries no metadata")
        self.metadata = declared or ModelMetadata(
            tuple(labels or ()),
            InputSpec(8, 8),
            precision=behaviour.get("precision", "float32"),
            source_sha256=behaviour.get("source", ""),
        )
        self.size_bytes = len(json.dumps(behaviour))
        self._break("open")
        clock.now += int(1e6 * behaviour.get("open_ms", 0.0))

    def predict_prepared(self, pixels: np.ndarray) -> None:
        assert pixels.shape == self.metadata.input.shape
        assert pixels.dtype == np.uint8
        delays = self._behaviour.get("delay_ms", 1.0)
        delays = delays if isinstance(delays, list) else [delays]
        delay = delays[self._calls % len(delays)]
        if self._calls == 0:
            delay = self._behaviour.get("first_ms", delay)
        self._break(self._calls)
        self._calls += 1
        self._clock.now += int(1e6 * delay / self._threads)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        firsts = pixels[:, 0, 0, 0].astype(int)
        shift = np.isin(firsts, self._behaviour.get("wrong", []))
        answers = (firsts // PIXELS_A_CLASS + shift) % len(self.metadata.labels)
        sure = np.nan if self._behaviour.get("nan") else 5
        return np.asarray(sure * np.eye(len(self.metadata.labels), dtype=np.float32)[answers])

    def _break(self, moment: object) -> None:
        if self._behaviour.get("dies") == moment:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._behaviour.get("hangs") == moment:
            time.sleep(3600)


if __name__ == "__main__":
    clock = Clock()
    main(lambda content, *given: FakeModel(clock, json.loads(content), *given), clock)
