from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.benchmarks.footage import run_footage, summarise
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.errors import EdgeEmotionError

TINY = Path(__file__).parents[1] / "models" / "brightness-float32.tflite"


def stages(**times: float) -> dict[str, float]:
    latency = {"capture": 1.0, "detect": 2.0, "preprocess": 3.0, "classify": 4.0, "track": 5.0} | times
    return {**latency, "total": sum(latency.values())}


def test_no_frames() -> None:
    assert summarise([]) == {
        "stages_ms": dict.fromkeys(("decode", "detect", "preprocess", "classify", "track", "total"), 0.0),
        "footage": {"frames": 0, "faces": 0, "total_p95_ms": 0.0},
    }


def test_stages_of_frames_without_a_face_do_not_dilute_the_classifier() -> None:
    frames = [(stages(), 1), (stages(preprocess=0.0, classify=0.0), 0), (stages(preprocess=0.0, classify=0.0), 0)]
    answer = summarise(frames)
    assert answer["stages_ms"]["classify"] == 4.0
    assert answer["stages_ms"]["preprocess"] == 3.0
    assert answer["stages_ms"]["decode"] == 1.0
    assert answer["stages_ms"]["total"] == 8.0
    assert answer["footage"] == {"frames": 3, "faces": 1, "total_p95_ms": pytest.approx(14.3)}


def test_a_folder_of_pictures_goes_through_the_real_pipeline(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((60, 60, 3), 250, np.uint8))
    with EmotionClassifier(TINY) as classifier:
        answer = run_footage(classifier, str(tmp_path), "none", 2)
        assert answer["footage"]["frames"] == 2
        assert answer["footage"]["faces"] == 2
        assert all(ms > 0 for ms in answer["stages_ms"].values())
        assert classifier.predict(np.zeros((9, 9), np.uint8)).label == "dark"  # it is still open


def test_a_video_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a video")
    with EmotionClassifier(TINY) as classifier, pytest.raises(EdgeEmotionError):
        run_footage(classifier, str(path), "none", 2)
