from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from edge_emotion.edge_runtime.outputs.web_live import Live
from edge_emotion.edge_runtime.results import FrameResult
from hypothesis import given, settings
from hypothesis import strategies as st

Make = Callable[..., FrameResult]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_before_the_first_frame_it_is_not_alive_and_everything_is_empty() -> None:
    clock = Clock()
    live = Live(clock)
    clock.now += 3
    state = live.to_json()
    assert state["result"] is None
    assert (state["alive"], state["frames"], state["frames_per_s"], state["age_s"]) == (False, 0, 0.0, 3.0)
    assert live.timeline() == []
    assert "edge_emotion_frames_total 0" in live.metrics()


def test_rate_and_timeline(make_result: Make) -> None:
    clock = Clock()
    live = Live(clock)
    for i in range(31):  # 10 a second, a second face in second 1, none in second 2
        faces = {0: 1, 1: 2, 2: 0}.get(i // 10, 1)
        live.record(make_result(i, faces=faces), None)
        clock.now += 0.1
    assert live.frames_per_s == pytest.approx(10)
    assert [(m.second, m.faces, m.label) for m in live.timeline()] == [(0, 1, "happy"), (1, 2, "happy"), (2, 0, "")]
    assert [m.second for m in live.timeline(after=1)] == [2]


def test_a_camera_that_stops_is_noticed(make_result: Make) -> None:
    clock = Clock()
    live = Live(clock)
    live.record(make_result(), None)
    assert live.alive
    assert len(live.to_json()["result"]["faces"]) == 1
    clock.now += 6
    assert not live.alive
    assert live.frames_per_s == 0.0


def test_the_last_face_does_not_outlive_the_camera(make_result: Make) -> None:
    clock = Clock()
    live = Live(clock)
    live.record(make_result(7), None)
    clock.now += 6
    state = live.to_json()
    assert (state["result"]["frame"], state["result"]["faces"]) == (7, [])
    assert (state["faces"], state["dominant"], state["alive"]) == (0, "", False)
    lines = live.metrics()
    assert "edge_emotion_faces 0" in lines
    assert not any(line.startswith("edge_emotion_expression_probability") for line in lines)
    live.record(make_result(8), None)
    assert (live.to_json()["faces"], live.to_json()["dominant"]) == (1, "happy")


def test_media_time_that_jumps_back_changes_nothing(make_result: Make) -> None:
    clock = Clock()
    live = Live(clock)
    for time_s in (50.0, 3.0, -7.0):
        live.record(make_result(time_s=time_s), None)
        clock.now += 1
    assert [m.second for m in live.timeline()] == [0, 1]


@settings(max_examples=30)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_seconds_of_the_timeline_rise_whatever_the_pace(pauses: list[float]) -> None:
    clock = Clock()
    live = Live(clock)
    for pause in pauses:
        live.record(FrameResult("0", 0, 0.0, (), {}), None)
        clock.now += pause
    seconds = [moment.second for moment in live.timeline()]
    assert all(a < b for a, b in pairwise(seconds))
    assert len(seconds) <= 300


def test_only_the_newest_picture_is_kept(make_result: Make) -> None:
    import weakref

    class Picture(np.ndarray):  # a plain array takes no weak reference
        pass

    live = Live()
    first = np.zeros((2, 2), np.uint8).view(Picture)
    gone = weakref.ref(first)
    live.record(make_result(0), first)
    del first
    assert gone() is not None
    live.record(make_result(1), None)
    assert gone() is None


def test_metrics_are_valid_prometheus_text(make_result: Make) -> None:
    import re

    live = Live()
    live.record(make_result(), None)
    lines = live.metrics()
    sample = re.compile(r'^[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"\})? -?[0-9.e+-]+$')
    assert all(line.startswith("# ") or sample.match(line) for line in lines), lines
    assert 'edge_emotion_stage_seconds_total{stage="detect"} 0.003' in lines
    assert not any('stage="total"' in line for line in lines)  # a sum over the stages is the total
    assert 'edge_emotion_expression_probability{label="happy"} 0.7' in lines
