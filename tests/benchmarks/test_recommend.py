from __future__ import annotations

from collections.abc import Callable

import pytest
from edge_emotion.benchmarks.recommend import recommend
from edge_emotion.benchmarks.report import Row

MakeRow = Callable[..., Row]


def test_no_rows_nothing_to_recommend(make_row: MakeRow) -> None:
    assert recommend([]).model is None
    assert recommend([make_row(latency=None, error="crashed")]).model is None


def test_the_cheapest_that_is_nearly_as_accurate_as_the_best(make_row: MakeRow) -> None:
    full = make_row("f", p50=4.0, accuracy=0.70)
    good = make_row("good", "int8", p50=1.0, accuracy=0.696, reference="f")
    bad = make_row("bad", "int8", p50=0.5, accuracy=0.60, reference="f")
    assert recommend([full, good, bad]).model == "good"
    assert recommend([full, bad]).model == "f"


@pytest.mark.parametrize("right", range(500, 1000, 25))
def test_half_a_point_is_tolerated_exactly(make_row: MakeRow, right: int) -> None:
    full = make_row("f", p50=4.0, accuracy=right / 1000)
    assert recommend([full, make_row("q", "int8", accuracy=(right - 5) / 1000)]).model == "q"
    assert recommend([full, make_row("q", "int8", accuracy=(right - 6) / 1000)]).model == "f"


def test_limits(make_row: MakeRow) -> None:
    full = make_row("f", p50=4.0, accuracy=0.70)
    small = make_row("s", "int8", p50=1.0, accuracy=0.60, reference="f")
    assert recommend([full, small], min_accuracy=0.6).model == "s"
    assert recommend([full, small], min_accuracy=0.65).model == "f"
    assert recommend([full, small], min_accuracy=0.6, deadline_ms=2.0).model == "s"
    nothing = recommend([full, small], min_accuracy=0.65, deadline_ms=2.0)
    assert nothing.model is None
    assert "accuracy of 65.00 % and p95 of 2 ms" in nothing.reason
    assert recommend([full, small], min_accuracy=0.65, deadline_ms=4.2).model == "f"  # its p95 is 1.045 × 4 ms


def test_float_is_kept_when_int8_saves_little(make_row: MakeRow) -> None:
    full = make_row("f", p50=1.0, accuracy=0.70, source_sha256="ab")
    barely = make_row("q", "int8", p50=0.85, accuracy=0.70, reference="f", source_sha256="ab")
    kept = recommend([full, barely])
    assert kept.model == "f"
    assert "keep float: int8 would save only 15 % here" in kept.reason
    assert recommend([full, barely], deadline_ms=1.0).model == "q"  # float misses the deadline


def test_another_network_that_is_cheaper_is_not_held_back_by_a_float(make_row: MakeRow) -> None:
    rows = [
        make_row("m", p50=0.35, source_sha256="ab"),
        make_row("s", p50=0.5, source_sha256="cd"),
        make_row("s8", "int8", p50=0.3, source_sha256="cd"),
    ]
    assert recommend(rows).model == "s8"
    assert recommend([rows[0], rows[2]]).model == "s8"  # though m is the only float32 file
    assert recommend([make_row("m", p50=0.35), make_row("s8", "int8", p50=0.3)]).model == "s8"  # who knows of what


def test_a_row_that_crashed_after_it_was_timed_is_not_recommended(make_row: MakeRow) -> None:
    crashed, slow = make_row("fast", p50=0.1, error="the interpreter crashed"), make_row("slow", p50=4.0)
    assert recommend([crashed, slow]).model == "slow"
    assert recommend([crashed]).model is None


def test_more_threads_must_pay_for_themselves(make_row: MakeRow) -> None:
    one, two = make_row("f", p50=1.0, accuracy=0.7), make_row("f", p50=0.7, accuracy=0.7, threads=2)
    assert recommend([one, two]).threads == 1
    assert recommend([one, two], deadline_ms=0.8).threads == 2


def test_without_data_it_says_that_accuracy_is_unknown(make_row: MakeRow) -> None:
    assert "accuracy was not measured" in recommend([make_row()]).reason
    refused = recommend([make_row()], min_accuracy=0.5)
    assert refused.model is None
    assert "accuracy was not measured (--data)" in refused.reason


def test_of_rows_that_cost_the_same_the_most_accurate(make_row: MakeRow) -> None:
    first = make_row("a", "dynamic", p50=1.00, accuracy=0.699)
    second = make_row("b", "int8", p50=1.04, accuracy=0.701)
    assert recommend([first, second]).model == "b"
    assert recommend([first, make_row("b", "int8", p50=1.06, accuracy=0.701)]).model == "a"
