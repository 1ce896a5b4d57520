import io

import pytest
from edge_emotion.edge_runtime.outputs.statistics import WINDOW, Statistics
from edge_emotion.edge_runtime.outputs.terminal import Terminal

from ..fakes import face, result


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_frames_there_is_nothing_to_say() -> None:
    statistics = Statistics()
    assert statistics.latency_ms() == {}
    assert statistics.changes_per_minute() is None
    assert statistics.to_json()["frames"] == 0


def test_label_changes_a_minute_raw_against_shown() -> None:
    statistics = Statistics()
    for frame in range(251):  # 10 s of one face at 25 a second
        raw = "sad" if frame % 25 == 0 else "happy"
        statistics.write(result(frame, face(1, "happy", raw=raw)), None)
    raw_changes, shown_changes = statistics.changes_per_minute() or (0, 0)
    assert statistics.face_s == pytest.approx(10)
    assert raw_changes == pytest.approx(6 * 20)  # at 0 one change, at 10 s one, between two each
    assert shown_changes == 0


def test_a_face_that_was_away_was_not_watched_meanwhile() -> None:
    statistics = Statistics()
    for time_s, label in ((0.0, "happy"), (1.0, "happy"), (60.0, "sad"), (61.0, "sad")):
        statistics.write(result(0, face(1, label), time_s=time_s), None)
    assert statistics.face_s == pytest.approx(2)
    assert statistics.changes_per_minute() == (0, 0)


def test_times_are_those_of_the_latest_frames_and_memory_is_bounded() -> None:
    statistics = Statistics()
    for frame in range(WINDOW + 10):
        one = result(frame)
        one.latency_ms["detect"] = 100.0 if frame < 10 else 2.0
        statistics.write(one, None)
    assert statistics.frames == WINDOW + 10
    assert statistics.latency_ms()["detect"] == {"p50": 2.0, "p95": 2.0, "mean": 2.0}


def test_a_million_faces_are_not_remembered() -> None:
    statistics = Statistics()
    for number in range(3000):
        statistics.write(result(number, face(number)), None)
    assert len(statistics._watched) <= 1001


def test_the_rate_is_frames_over_wall_time() -> None:
    clock = Clock()
    statistics = Statistics(clock)
    for frame in range(50):
        clock.now += 0.1
        statistics.write(result(frame), None)
    assert statistics.frames_per_s == pytest.approx(10, rel=0.05)


def test_the_live_line_shows_rate_time_and_faces() -> None:
    clock, stream = Clock(), io.StringIO()
    with Terminal(stream, clock) as terminal:
        for frame in range(20):
            clock.now += 0.05
            terminal.write(result(frame, face(3, "happy", 0.8), face(4, "sad", 0.5)), None)
    shown = stream.getvalue()
    assert "20.0 frames/s" in shown
    assert "2.8 ms" in shown
    assert "#3 happy 80 %, #4 sad 50 %" in shown
    assert shown.count("\r") == 5  # five times a second, and once for the first
    assert shown.endswith("\n")


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    with Terminal(Gone()) as terminal:
        terminal.write(result(0), None)


def test_a_line_that_showed_nothing_ends_nothing() -> None:
    stream = io.StringIO()
    Terminal(stream).close()
    assert stream.getvalue() == ""


def test_no_face_is_said() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, Clock())
    assert "no face" in terminal.line(result(0))
