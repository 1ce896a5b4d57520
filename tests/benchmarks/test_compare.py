from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.benchmarks import compare
from edge_emotion.benchmarks.compare import (
    as_baseline,
    baseline_file,
    baseline_rows,
    board_slug,
    compare_reports,
    read_baseline,
    render_comparison,
)
from edge_emotion.benchmarks.comparison import Limits
from edge_emotion.benchmarks.latency import Ratio
from edge_emotion.benchmarks.report import BenchReport, Row
from edge_emotion.edge_runtime.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

MakeRow = Callable[..., Row]
MakeReport = Callable[..., BenchReport]


def verdicts(report: BenchReport, baseline: dict[str, Any], **limits: float) -> dict[str, str]:
    comparison = compare_reports(report, baseline, "old", Limits(**limits))
    return {f"{change.row} {change.figure}": change.verdict for change in comparison.changes}


def test_the_same_report_changes_nothing(make_row: MakeRow, make_report: MakeReport) -> None:
    report = make_report(make_row(accuracy=0.7), make_row("q", "int8"))
    comparison = compare_reports(report, as_baseline(report), "old", Limits())
    assert not comparison.failed
    assert {change.verdict for change in comparison.changes} == {"same"}
    assert "nothing changed beyond noise in 7 figures" in render_comparison(comparison)
    json.dumps(comparison.to_json(), allow_nan=False)


def test_slower_within_the_limit_is_worse_and_past_it_fails(make_row: MakeRow, make_report: MakeReport) -> None:
    old = as_baseline(make_report(make_row(p50=1.0)))
    assert verdicts(make_report(make_row(p50=1.05)), old)["edge, 1 thread p50 ms"] == "worse"
    assert verdicts(make_report(make_row(p50=1.2)), old)["edge, 1 thread p50 ms"] == "failed"
    assert verdicts(make_report(make_row(p50=1.2)), old, slower=0.5)["edge, 1 thread p50 ms"] == "worse"
    assert verdicts(make_report(make_row(p50=0.9)), old)["edge, 1 thread p50 ms"] == "better"


def test_a_slowdown_within_noise_does_not_fail(make_row: MakeRow, make_report: MakeReport) -> None:
    old = as_baseline(make_report(make_row(p50=1.0)))
    noisy = make_row(p50=1.3, round_p50_ms=(1.0, 1.6, 0.9, 1.5, 1.3))
    assert verdicts(make_report(noisy), old)["edge, 1 thread p50 ms"] == "same"


def test_only_an_interval_wholly_past_the_limit_fails(
    make_row: MakeRow, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = as_baseline(make_report(make_row()))
    for low, verdict in ((0.99, "same"), (1.05, "worse"), (1.11, "failed")):
        monkeypatch.setattr(compare, "unpaired_ratio", lambda *_, low=low: Ratio(1.2, (low, 1.3)))
        assert verdicts(make_report(make_row()), old, slower=0.1)["edge, 1 thread p50 ms"] == verdict


def test_accuracy_size_and_memory_have_limits(make_row: MakeRow, make_report: MakeReport) -> None:
    old = as_baseline(make_report(make_row(accuracy=0.70)))
    found = verdicts(make_report(make_row(accuracy=0.69, size_bytes=1100, peak_rss_mb=100.0)), old)
    assert found == {
        "edge, 1 thread p50 ms": "same",
        "edge, 1 thread size_bytes": "failed",
        "edge, 1 thread peak_rss_mb": "failed",
        "edge, 1 thread accuracy": "failed",
    }
    assert verdicts(make_report(make_row(accuracy=0.697)), old)["edge, 1 thread accuracy"] == "worse"


@pytest.mark.parametrize("right", range(500, 1000, 25))
def test_a_drop_of_exactly_the_limit_is_allowed(make_row: MakeRow, make_report: MakeReport, right: int) -> None:
    old = as_baseline(make_report(make_row(accuracy=right / 1000)))
    for lost, verdict in ((5, "worse"), (6, "failed")):
        found = verdicts(make_report(make_row(accuracy=(right - lost) / 1000)), old)
        assert found["edge, 1 thread accuracy"] == verdict


def test_accuracy_on_other_images_is_shown_only(make_row: MakeRow, make_report: MakeReport) -> None:
    old = as_baseline(make_report(make_row(accuracy=0.70)))
    old["results"][0]["data_sha256"] = "other"
    assert verdicts(make_report(make_row(accuracy=0.5)), old)["edge, 1 thread accuracy"] == "worse"


def test_an_accuracy_that_is_not_measured_again_is_said_not_to_be_gated(
    make_row: MakeRow, make_report: MakeReport
) -> None:
    old = as_baseline(make_report(make_row(accuracy=0.70)))
    comparison = compare_reports(make_report(make_row()), old, "old", Limits())
    assert "accuracy" not in {change.figure for change in comparison.changes}
    assert comparison.notes == (
        "edge, 1 thread has an accuracy in the baseline and none here: it is not gated (--data measures it)",
    )
    assert compare_reports(make_report(make_row(accuracy=0.70)), old, "old", Limits()).notes == ()


@pytest.mark.parametrize("key", ["board", "cpu", "cores", "machine"])
def test_times_of_another_machine_never_fail(make_row: MakeRow, make_report: MakeReport, key: str) -> None:
    old = as_baseline(make_report(make_row(p50=1.0)))
    old["environment"][key] = "Cortex-A76"
    comparison = compare_reports(make_report(make_row(p50=9.0, peak_rss_mb=200.0)), old, "old", Limits())
    assert not comparison.failed
    assert "another machine (Cortex-A76)" in comparison.notes[0]


@pytest.mark.parametrize(
    ("simd", "said"),
    [(["avx2", "avx512_vnni"], "SIMD avx2 avx512_vnni"), ([], "SIMD none"), (None, "SIMD not recorded")],
)
def test_the_same_name_of_cpu_with_other_instructions_is_another_machine(
    make_row: MakeRow, make_report: MakeReport, simd: list[str] | None, said: str
) -> None:
    now = make_report(make_row(p50=9.0))
    now = replace(now, environment=replace(now.environment, simd=("avx2",)))
    old = as_baseline(make_report(make_row(p50=1.0)))
    old["environment"]["simd"] = simd
    comparison = compare_reports(now, old, "old", Limits())
    assert not comparison.failed
    assert f"another machine ({said})" in comparison.notes[0]
    old["environment"]["simd"] = ["avx2"]
    assert compare_reports(now, old, "old", Limits()).failed


def test_a_row_that_ran_before_and_crashes_now_fails(make_row: MakeRow, make_report: MakeReport) -> None:
    old = as_baseline(make_report(make_row()))
    crashed = make_row(latency=None, error="the interpreter crashed", precision="", round_p50_ms=())
    comparison = compare_reports(make_report(crashed), old, "old", Limits())
    assert comparison.failed
    assert comparison.changes[0].detail == "the interpreter crashed"
    midway = make_row(error="the interpreter crashed")  # it has times of the rounds before
    assert verdicts(make_report(midway), old) == {"edge, 1 thread runs": "failed"}
    assert verdicts(make_report(make_row()), as_baseline(make_report(midway))) == {}


def test_nothing_in_common_fails(make_row: MakeRow, make_report: MakeReport) -> None:
    comparison = compare_reports(make_report(make_row("new")), as_baseline(make_report(make_row("old"))), "b", Limits())
    assert comparison.failed
    assert "no row could be compared" in render_comparison(comparison)
    assert "new, 1 thread (float32) is not in the baseline" in comparison.notes


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_a_file_that_is_no_baseline(tmp_path: Path, content: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(OptionError, match="baseline"):
        read_baseline(path)


def test_a_missing_baseline(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read"):
        read_baseline(tmp_path / "none.json")


def test_a_baseline_survives_the_disk(make_row: MakeRow, make_report: MakeReport, tmp_path: Path) -> None:
    document = as_baseline(make_report(make_row(accuracy=0.7)))
    path = tmp_path / "b.json"
    path.write_text(json.dumps(document))
    assert read_baseline(path) == document


def test_a_baseline_names_no_file_of_this_machine(make_row: MakeRow, make_report: MakeReport) -> None:
    settings = {"seconds": 5.0, "data": "/home/me/faces", "video": "/home/me/street.mp4"}
    row = make_row(path="/home/me/edge.tflite", accuracy=0.7)
    document = as_baseline(make_report(row, settings=settings, notes=("/home/me",)))
    assert "/home/me" not in json.dumps(document)
    assert document["settings"] == {"seconds": 5.0}


def test_the_rows_that_a_new_baseline_replaces(make_row: MakeRow, make_report: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    assert baseline_rows(path) == []
    path.write_text(json.dumps(as_baseline(make_report(make_row(), make_row("q", "int8", threads=2)))))
    assert baseline_rows(path) == ["edge float32 litert, threads 1", "q int8 litert, threads 2"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 1, "ceilings": {}}', '{"results": [1]}'])
def test_what_is_no_baseline_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(OptionError, match="is no baseline of times"):
        baseline_rows(path)


def test_a_folder_holds_a_file_for_each_board(tmp_path: Path) -> None:
    assert baseline_file(tmp_path, "Raspberry Pi 5") == tmp_path / "raspberry-pi-5.json"
    assert baseline_file(tmp_path / "b.json", "Raspberry Pi 5") == tmp_path / "b.json"
    assert baseline_file(tmp_path / "new", "Raspberry Pi 5") == tmp_path / "new" / "raspberry-pi-5.json"
    (tmp_path / "old").write_text("")
    assert baseline_file(tmp_path / "old", "Raspberry Pi 5") == tmp_path / "old"


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf")])
def test_a_limit_that_is_negative_or_not_finite_is_refused(limit: float) -> None:
    for name in ("slower", "less_accurate_pp"):
        with pytest.raises(OptionError, match="finite and not negative"):
            Limits(**{name: limit})


@given(st.text())
def test_a_board_gives_a_plain_file_name(board: str) -> None:
    slug = board_slug(board)
    assert slug
    assert slug.strip("-.") == slug
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


def test_a_row_under_other_threads_is_another_row(make_row: MakeRow, make_report: MakeReport) -> None:
    report = make_report(make_row())
    two = replace(report, rows=(make_row(threads=2),))
    assert compare_reports(two, as_baseline(report), "b", Limits()).changes == ()
