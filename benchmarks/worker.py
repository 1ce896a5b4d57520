"""The bench's child process: one model, asked over pipes, one JSON object a line each way.

A request is `{"do": NAME, …}`, an answer is the result or `{"error": MESSAGE}`. The model's crash is this process's
crash and nobody else's. `serve` takes how a model is opened and what the time is, so that tests put in a fake of both.

    open     load the model                   → what it is, and how long each step took
    warm     first inference, then warm up    → first_ms, warmup_runs, stable
    run      a round of timed inferences      → samples_ms
    overhead what timing a call costs         → overhead_us
    memory                                    → rss_mb, peak_rss_mb
    stages   steps from crop to probabilities → stages_ms
    network  operators, multiply-accumulates  → operators, macs, precision
    profile  time of each operator            → operator_ms
    video    the camera's path over a video   → stages_ms, footage
    predict  logits of prepared images in a .npy file, written to another
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.errors import EdgeEmotionError
from ..edge_runtime.metadata import InputSpec, ModelMetadata
from ..edge_runtime.preprocess import Image, prepare
from .latency import time_calls, warm_up

IMAGES = 16
"""Distinct noise images that timed inferences go through."""
CROP_SIDE = 160
"""Side in pixels of the crop that preprocessing is timed on: a face at arm's length before a 640×480 camera."""


class Subject(Protocol):
    """What is measured: `EmotionClassifier`, or a fake."""

    metadata: ModelMetadata
    sha256: str
    size_bytes: int

    @property
    def backend(self) -> str:
        """Name of the runtime in use."""
        ...

    def logits(self, pixels: Image) -> NDArray[np.float32]:
        """Logits, float32 (N, classes), of prepared uint8 pixels (N, H, W, C)."""
        ...

    def predict_prepared(self, pixels: Image) -> object:
        """Classify one face as prepared uint8 pixels (H, W, C): the camera's `classify` stage, and what is timed."""
        ...


OpenSubject = Callable[[bytes, ModelMetadata | None, str, int], Subject]
"""(file content, metadata in place of its own or None, backend, threads) → the opened model."""
Clock = Callable[[], int]
"""Nanoseconds, monotonic."""


def open_classifier(content: bytes, declared: ModelMetadata | None, backend: str, threads: int) -> Subject:
    """The real thing."""
    from ..edge_runtime.classifier import EmotionClassifier

    return EmotionClassifier(content, metadata=declared, backend=backend, threads=threads)


class Session:
    """One model's life: each public method answers the request of that name."""

    def __init__(self, open_subject: OpenSubject, clock: Clock) -> None:
        self._open_subject, self._clock = open_subject, clock
        self._subject: Subject | None = None
        self._content = b""
        self._all_cpus: set[int] = set()
        self._inputs = np.zeros((0, 1, 1, 1), np.uint8)

    def open(
        self, model: str, declared: dict[str, Any] | None, backend: str, threads: int, cpus: list[int] | None
    ) -> dict[str, Any]:
        """Pin this process to `cpus` and load the model. Each step's time in milliseconds."""
        if cpus:
            self._all_cpus = os.sched_getaffinity(0)
            os.sched_setaffinity(0, cpus)
        metadata = ModelMetadata.from_json(declared) if declared else None
        steps = [self._clock()]
        import_runtime(backend)
        steps.append(self._clock())
        self._content = Path(model).read_bytes()
        steps.append(self._clock())
        self._subject = self._open_subject(self._content, metadata, backend, threads)
        steps.append(self._clock())
        self._inputs = noise(self._subject.metadata.input)
        import_ms, load_ms, init_ms = (float(v) / 1e6 for v in np.diff(steps))
        return {
            "metadata": self._subject.metadata.to_json(),
            "backend": self._subject.backend,
            "size_bytes": self._subject.size_bytes,
            "sha256": self._subject.sha256,
            "import_ms": import_ms,
            "load_ms": load_ms,
            "init_ms": init_ms,
        }

    def warm(self) -> dict[str, Any]:
        """The first inference's time, then runs until stable."""
        first = time_calls(self._infer, self._clock, 1, 0.0)
        runs, stable = warm_up(self._infer, self._clock)
        return {"first_ms": float(first[0]), "warmup_runs": runs, "stable": stable}

    def run(self, runs: int, seconds: float) -> dict[str, Any]:
        """One round: at least `runs` inferences and `seconds`, the garbage collector held back."""
        gc.collect()
        gc.disable()
        try:
            samples = time_calls(self._infer, self._clock, runs, seconds)
        finally:
            gc.enable()
        return {"samples_ms": [round(v, 6) for v in samples.tolist()]}

    def overhead(self) -> dict[str, Any]:
        """What timing a call costs by itself: the median time of calling nothing, in microseconds."""
        samples = time_calls(lambda index: None, self._clock, 1000, 0.0)
        return {"overhead_us": 1e3 * float(np.median(samples))}

    def memory(self) -> dict[str, Any]:
        """Resident memory of this process now and at its peak, in MB (10^6 bytes); None where the kernel hides it."""
        return {"rss_mb": status_mb("VmRSS"), "peak_rss_mb": status_mb("VmHWM")}

    def stages(self, runs: int) -> dict[str, Any]:
        """Median milliseconds of each step from a face crop (uint8 BGR, CROP_SIDE²) to probabilities."""
        subject = self._opened
        crop = np.random.default_rng(1).integers(0, 256, (CROP_SIDE, CROP_SIDE, 3), np.uint8)
        steps: dict[str, Callable[[int], object]] = {
            "preprocess": lambda index: prepare(crop, subject.metadata.input),
            "classify": self._infer,
        }
        return {
            "stages_ms": {
                name: float(np.median(time_calls(step, self._clock, runs, 0.0))) for name, step in steps.items()
            }
        }

    def network(self) -> dict[str, Any]:
        """The file's operators and what its tensors say of its precision."""
        from .operators import read_network

        network = read_network(self._content, self._opened.backend)
        return {
            "operators": [operator.to_json() for operator in network.operators],
            "macs": network.macs,
            "precision": network.precision,
        }

    def profile(self, threads: int, rounds: int) -> dict[str, Any]:
        """Milliseconds of each operator, in order."""
        from .profile import profile

        return {"operator_ms": profile(self._content, self._opened.backend, threads, rounds, self._clock)}

    def video(self, source: str, detector: str, max_frames: int) -> dict[str, Any]:
        """The pipeline that `run` uses, over a video and unpinned as there; median milliseconds a frame by stage."""
        from .footage import run_footage

        if self._all_cpus:
            os.sched_setaffinity(0, self._all_cpus)
        return run_footage(self._opened, source, detector, max_frames)

    def predict(self, images: str, out: str) -> dict[str, Any]:
        """Logits of the prepared images in the file `images`, uint8 (N, H, W, C), to the file `out`, float32."""
        np.save(out, self._opened.logits(np.load(images, mmap_mode="r")))
        return {}

    @property
    def _opened(self) -> Subject:
        if self._subject is None:
            raise EdgeEmotionError("no model is open in this worker")
        return self._subject

    def _infer(self, index: int) -> object:
        return self._opened.predict_prepared(self._inputs[index % IMAGES])


def serve(
    requests: TextIO, replies: TextIO, open_subject: OpenSubject = open_classifier, clock: Clock | None = None
) -> None:
    """Answer requests until their end. Whatever goes wrong with one is its answer."""
    session = Session(open_subject, clock or time.perf_counter_ns)
    for line in requests:
        request = json.loads(line)
        try:
            answer = getattr(session, request.pop("do"))(**request)
        except (EdgeEmotionError, OSError) as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(answer, allow_nan=False) + "\n")
        replies.flush()


def noise(spec: InputSpec) -> Image:
    """Fixed noise images, uint8 (IMAGES, H, W, C)."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES, *spec.shape), np.uint8)


def import_runtime(backend: str) -> None:
    """Import the runtime ahead of the model, so that its import is not counted as the model's loading."""
    from importlib import import_module

    from ..edge_runtime.interpreter import BACKENDS, available_backends

    name = next(iter(available_backends()), "") if backend == "auto" else backend
    if name in BACKENDS:
        import_module(BACKENDS[name][0])


def status_mb(field: str) -> float | None:
    """A memory field of /proc/self/status in MB, or None where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def main(open_subject: OpenSubject = open_classifier, clock: Clock | None = None) -> None:
    """Serve stdin and stdout. Ctrl-C is the parent's business; what native code prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies, open_subject, clock)


if __name__ == "__main__":
    main()
