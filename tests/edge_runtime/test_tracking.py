import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.faces import Face
from edge_emotion.edge_runtime.tracking import Tracker
from hypothesis import given
from hypothesis import strategies as st

boxes = st.tuples(st.integers(-50, 500), st.integers(-50, 500), st.integers(1, 200), st.integers(1, 200))


def at(*boxes_xywh: tuple[int, int, int, int], down: bool = False) -> list[Face]:
    """Faces in these boxes; down: with left and top, and width and height, exchanged."""
    return [Face((y, x, h, w) if down else (x, y, w, h)) for x, y, w, h in boxes_xywh]


either_way = pytest.mark.parametrize("down", [False, True])


def test_no_face_no_id() -> None:
    assert Tracker().update([], 0.0) == []


@given(st.lists(boxes, max_size=8))
def test_every_face_of_a_frame_has_its_own_id(found: list[tuple[int, int, int, int]]) -> None:
    tracker = Tracker()
    for time_s in (0.0, 0.1, 0.2):
        ids = tracker.update(at(*found), time_s)
        assert len(set(ids)) == len(found)
        assert all(ids)


def test_ids_stay_when_faces_move_and_change_places_in_the_list() -> None:
    tracker = Tracker()
    left, right = tracker.update(at((0, 0, 50, 50), (200, 0, 50, 50)), 0.0)
    for step in range(1, 20):
        ids = tracker.update(at((200 - 3 * step, 0, 50, 50), (3 * step, 0, 50, 50)), step / 25)
        assert ids == [right, left]


def test_an_id_lives_through_a_short_gap_and_not_through_a_long_one() -> None:
    tracker = Tracker(max_gap_s=1.0)
    (first,) = tracker.update(at((10, 10, 40, 40)), 0.0)
    tracker.update([], 0.5)
    assert tracker.update(at((12, 10, 40, 40)), 0.9) == [first]
    tracker.update([], 1.5)
    assert tracker.update(at((12, 10, 40, 40)), 2.5) == [first + 1]


@either_way
def test_a_moving_face_is_met_where_it_should_be_after_a_gap(down: bool) -> None:
    tracker = Tracker()
    for step in range(10):
        ids = tracker.update(at((10 * step, 0, 40, 40), down=down), step / 10)
    assert tracker.update(at((140, 0, 40, 40), down=down), 1.4) == ids  # 50 pixels on: no overlap with where it was


@either_way
def test_the_speed_is_that_of_the_centre_however_its_box_grows_and_trembles(down: bool) -> None:
    """Frames 4 ms apart, in each of which one pixel of trembling looks like 250 pixels a second."""
    tracker = Tracker()
    for frame in range(100):
        side = 60 + 2 * frame
        centre = 500 + frame + frame % 2
        tracker.update(at((centre - side // 2, 300 - side // 2, side, side), down=down), frame * 0.004)
    (track,) = tracker.tracks
    along, across = track.speed_xy[::-1] if down else track.speed_xy
    assert along == pytest.approx(250, abs=25)
    assert across == 0


@either_way
@pytest.mark.parametrize("speed", [0, 30, 120, 300])
@pytest.mark.parametrize("side", [60, 100, 150])
def test_an_id_lives_through_frames_that_are_held_up_and_come_in_a_burst(side: int, speed: int, down: bool) -> None:
    """Each 2 seconds a network holds 0.4 s of frames back, which then arrive 4 ms apart."""
    tracker, ids, arrived = Tracker(), set(), 0.0
    for frame in range(250):
        taken = frame / 25
        released = taken - taken % 2 + 0.4 if taken >= 2 and taken % 2 < 0.4 else taken
        arrived = max(released, arrived + 0.004)
        tremble = frame * 7 % 3 - 1
        ids.update(tracker.update(at((round(speed * taken) + tremble, 0, side, side), down=down), arrived))
    assert ids == {1}


@either_way
def test_faces_that_cross_unseen_are_not_taken_for_each_other(down: bool) -> None:
    tracker = Tracker()
    for frame in range(60):
        time_s = frame / 25
        there, back = (round(200 * time_s), 0, 80, 80), (400 - round(200 * time_s), 10, 80, 80)
        if not 0.8 < time_s < 1.2:
            assert tracker.update(at(there, back, down=down), time_s) == [1, 2]


def test_a_face_in_each_frame_keeps_its_id_however_slowly_they_come() -> None:
    tracker = Tracker(max_gap_s=1.0)
    times = [0.0, 1.3, 3.8, 3.83, 13.8]
    assert [tracker.update(at((10 + i % 2, 10, 40, 40)), time_s) for i, time_s in enumerate(times)] == [[1]] * 5
    assert tracker.update(at((10, 10, 40, 40)), 24.0) == [2]


def test_reset_forgets_faces_and_never_gives_an_id_twice() -> None:
    tracker = Tracker()
    (first,) = tracker.update(at((0, 0, 40, 40)), 0.0)
    tracker.reset()
    assert tracker.update(at((0, 0, 40, 40)), 0.1) == [first + 1]


def test_a_clock_that_stands_still_or_falls_does_no_harm() -> None:
    tracker = Tracker()
    (first,) = tracker.update(at((0, 0, 40, 40)), 5.0)
    assert tracker.update(at((1, 0, 40, 40)), 5.0) == [first]
    assert tracker.update(at((2, 0, 40, 40)), 4.0) == [first]


@pytest.mark.parametrize(("overlap", "gap"), [(0.0, 1.0), (1.5, 1.0), (0.2, -1.0)])
def test_values_out_of_range_are_refused(overlap: float, gap: float) -> None:
    with pytest.raises(OptionError):
        Tracker(overlap, gap)
