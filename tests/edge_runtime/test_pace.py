import pytest
from edge_emotion.edge_runtime.pace import SLOWEST, Pace


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_each_nth_frame_is_searched_the_first_one_included(every: int) -> None:
    pace = Pace(every)
    assert [i for i in range(22) if pace.due()] == list(range(0, 22, every))


def test_restart_searches_the_next_frame() -> None:
    pace = Pace(10)
    assert [pace.due() for _ in range(3)] == [True, False, False]
    pace.restart()
    assert pace.due()


def settle(pace: Pace, detect_ms: float, other_ms: float, budget_ms: float) -> int:
    for _ in range(100):
        pace.learn(detect_ms, other_ms, budget_ms)
    return pace.every


def test_auto_keeps_to_the_frame_time_and_no_less_often() -> None:
    assert settle(Pace("auto"), 5, 5, 40) == 1
    assert settle(Pace("auto"), 80, 5, 40) == 3  # 80 / 3 + 5 < 40 < 80 / 2 + 5
    assert settle(Pace("auto"), 10_000, 5, 40) == SLOWEST
    assert settle(Pace("auto"), 10, 50, 40) == SLOWEST


def test_auto_comes_back_when_the_load_is_gone() -> None:
    pace = Pace("auto")
    assert settle(pace, 80, 5, 40) == 3
    assert settle(pace, 8, 5, 40) == 1


def test_a_file_is_searched_at_the_detectors_own_stride() -> None:
    assert settle(Pace("auto", stride=3), 80, 5, 0) == 3
    assert settle(Pace("auto"), 80, 5, 0) == 1


def test_a_fixed_number_stays() -> None:
    assert settle(Pace(4), 1000, 5, 40) == 4
