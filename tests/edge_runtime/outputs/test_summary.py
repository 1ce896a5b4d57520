from __future__ import annotations

from collections.abc import Callable

import pytest
from edge_emotion.edge_runtime.outputs.summary import Summary, summarise
from edge_emotion.edge_runtime.results import FrameResult


def test_nobody() -> None:
    assert summarise(()) == Summary(0, None, "")
    assert summarise(()).confidence == 0.0


def test_the_mean_over_faces_in_any_order(make_result: Callable[..., FrameResult]) -> None:
    faces = make_result(happy=0.9).faces + make_result(happy=0.2).faces
    summary = summarise(faces)
    assert (summary.faces, summary.dominant) == (2, "happy")
    assert summary.confidence == pytest.approx(0.55)
    assert summarise(faces[::-1]) == summary
    assert summary.probabilities is not None
    assert sum(summary.probabilities.values()) == pytest.approx(1)
