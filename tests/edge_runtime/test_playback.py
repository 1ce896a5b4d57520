from dataclasses import replace

import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras import Frame
from edge_emotion.edge_runtime.playback import LATEST_S, LONGEST_GAP_S, POLL_S, Playback


class Watched:
    """A playback whose clock moves only by its own waiting, and by what the test says that work takes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.stopped = False
        self._playback = Playback(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def show(self, time_s: float, *, work_s: float = 0.0, cut: bool = False) -> float:
        """When a frame goes out, in seconds since the first moment."""
        self.now += work_s
        frame = Frame(np.zeros((1, 1), np.uint8), 0, time_s)
        self._playback.wait(replace(frame, cut=cut), lambda: self.stopped)
        return self.now - 1000.0


@pytest.mark.parametrize("first_s", [0.0, 3600.0])
def test_frames_go_out_in_media_time_whatever_the_work_takes(first_s: float) -> None:
    watched = Watched()
    shown = [watched.show(first_s + i / 25, work_s=0.0 if i == 0 else 0.03 if i % 2 else 0.001) for i in range(50)]
    assert shown == pytest.approx([i / 25 for i in range(50)])


def test_a_short_delay_is_made_up_for_and_a_long_one_is_not() -> None:
    watched = Watched()
    watched.show(0.0)
    assert watched.show(0.04, work_s=0.5) == pytest.approx(0.5)
    assert [watched.show(i / 25, work_s=0.01) for i in range(2, 50)][-1] == pytest.approx(49 / 25)
    late = watched.show(2.0, work_s=LATEST_S + 7)
    assert [watched.show(2 + i / 25) - late for i in (1, 2, 25)] == pytest.approx([0.04, 0.08, 1.0])


def test_work_that_is_always_too_slow_is_never_waited_for() -> None:
    watched = Watched()
    assert [watched.show(i / 25, work_s=0.1) for i in range(100)][-1] == pytest.approx(10.0)
    assert watched.slept == []


def test_time_stamps_that_jump_hold_nothing_up() -> None:
    watched = Watched()
    assert [watched.show(t) for t in (0.0, 3600.0, 3600.5, 7.0, 7.5)] == pytest.approx([0, 0, 0.5, 0.5, 1.0])
    assert watched.show(7.5 + LONGEST_GAP_S) == pytest.approx(1.0 + LONGEST_GAP_S)


def test_pictures_of_a_folder_are_not_waited_for() -> None:
    watched = Watched()
    assert [watched.show(float(i), cut=True) for i in range(5)] == [0.0] * 5


def test_stop_ends_a_wait() -> None:
    watched = Watched()
    watched.show(0.0)
    watched.stopped = True
    assert watched.show(4.0) == 0.0
    watched.stopped = False
    watched.show(4.0)
    assert max(watched.slept) <= POLL_S
