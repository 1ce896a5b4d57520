"""The whole path of the camera over a video, stage by stage: the pipeline of `edge-emotion run`, not a copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np

STAGES = {"capture": "decode", "detect": "detect", "preprocess": "preprocess", "classify": "classify", "track": "track"}
"""The pipeline's name of a stage → the bench's: from a video, capturing a frame is decoding it."""
PER_FACE = ("preprocess", "classify")


def run_footage(classifier: Any, source: str, detector: str, max_frames: int) -> dict[str, Any]:
    """Run the pipeline with this `EmotionClassifier` over a video's first frames.

    stages_ms: medians over all frames, of preprocess and classify over the frames that show a face. The classifier
    stays open. Raises DeviceError when the video cannot be read.
    """
    from ..edge_runtime.cameras import open_camera
    from ..edge_runtime.faces import open_detector
    from ..edge_runtime.pipeline import Pipeline

    with open_camera(source) as camera, open_detector(detector) as finder:
        results = list(Pipeline(camera, finder, classifier, max_frames=max_frames))
    return summarise([(result.latency_ms, len(result.faces)) for result in results])


def summarise(frames: list[tuple[dict[str, float], int]]) -> dict[str, Any]:
    """Stage times and number of faces of each frame as the answer of a `video` request."""
    faces = np.array([n for _, n in frames])
    stages = {}
    for name, shown in STAGES.items():
        times = np.array([latency[name] for latency, _ in frames])
        chosen = times[faces > 0] if name in PER_FACE else times
        stages[shown] = float(np.median(chosen)) if len(chosen) else 0.0
    totals = [latency["total"] for latency, _ in frames]
    p50, p95 = (float(v) for v in np.percentile(totals, [50, 95])) if totals else (0.0, 0.0)
    return {
        "stages_ms": {**stages, "total": p50},
        "footage": {"frames": len(frames), "faces": int(faces.sum()), "total_p95_ms": p95},
    }
