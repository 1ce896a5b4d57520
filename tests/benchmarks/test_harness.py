"""The harness on a fake interpreter with known delays and labels: it must report exactly these."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.benchmarks import client, measurement
from edge_emotion.benchmarks.compare import as_baseline, compare_reports
from edge_emotion.benchmarks.comparison import Limits
from edge_emotion.benchmarks.config import BenchConfig
from edge_emotion.benchmarks.environment import Machine
from edge_emotion.benchmarks.harness import interleaved, run_bench
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.errors import DatasetError, EdgeEmotionError, ModelError, OptionError
from edge_emotion.edge_runtime.interpreter import load_backend

MakeModel = Callable[..., Path]
MakeConfig = Callable[..., BenchConfig]
TICK_MS = 1e-3  # the fake clock's own cost: one look at it


def test_no_model_gives_an_error(make_config: MakeConfig, bare_machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        run_bench([tmp_path / "none.tflite"], make_config(), machine=bare_machine)


def test_known_delays_are_reported(make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine) -> None:
    model = make_model(open_ms=30.0, first_ms=9.0, delay_ms=2.0)
    (row,) = run_bench([model], make_config(), machine=bare_machine).rows
    assert row.latency is not None
    assert row.latency.p50 == row.latency.p99 == row.latency.min == pytest.approx(2.0 + TICK_MS)
    assert row.latency.mad == 0
    assert row.init_ms == pytest.approx(30.0 + TICK_MS)
    assert row.first_ms == pytest.approx(9.0 + TICK_MS)
    assert row.throughput_per_s == pytest.approx(1000 / (2.0 + TICK_MS))
    assert row.stages_ms["classify"] == pytest.approx(2.0 + TICK_MS)
    assert row.stable


def test_delays_that_vary_are_reported_with_their_quantiles(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    model = make_model(delay_ms=[1.0, 2.0, 3.0, 4.0, 5.0])
    (row,) = run_bench([model], make_config(min_runs=200), machine=bare_machine).rows
    assert row.latency is not None
    assert row.latency.p50 == pytest.approx(3.0 + TICK_MS)
    assert row.latency.min == pytest.approx(1.0 + TICK_MS)
    assert row.latency.p99 == pytest.approx(5.0 + TICK_MS)
    assert row.latency.mad == pytest.approx(1.0)


def test_at_least_the_runs_and_the_seconds_are_done(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    model = make_model(delay_ms=1.0)
    for runs, seconds in ((400, 0.01), (1, 0.4)):
        (row,) = run_bench([model], make_config(min_runs=runs, seconds=seconds), machine=bare_machine).rows
        assert row.samples_ms is not None
        assert len(row.samples_ms) >= runs
        assert row.samples_ms.sum() >= 1000 * seconds
        assert len(row.round_p50_ms) == 10


def test_a_long_bench_has_more_rounds_and_none_over_a_second(make_config: MakeConfig) -> None:
    assert make_config(seconds=5.0).rounds == 10
    assert make_config(seconds=90.5).rounds == 91


def test_overhead_is_shown_and_not_subtracted(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    report = run_bench([make_model(delay_ms=0.5)], make_config(), machine=bare_machine)
    assert report.overhead_us == pytest.approx(1.0)
    assert report.rows[0].latency is not None
    assert report.rows[0].latency.p50 == pytest.approx(0.5 + TICK_MS)


def test_ratio_to_the_float32_row(make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine) -> None:
    models = [make_model("q", precision="int8", delay_ms=1.0), make_model("f", delay_ms=4.0)]
    quantised, full = run_bench(models, make_config(), machine=bare_machine).rows
    assert full.ratio is not None
    assert quantised.ratio is not None
    assert full.ratio.value == 1.0
    assert quantised.ratio.value == pytest.approx(0.25, abs=0.001)
    assert quantised.ratio.ci95 == pytest.approx((0.25, 0.25), abs=0.001)


def test_each_number_of_threads_is_a_row_and_is_measured_as_it_says(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    pinned: list[object] = []

    class Recorder(client.Worker):
        def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
            asked.append(do)
            if do == "open":
                pinned.append(arguments.pop("cpus"))
                arguments["cpus"] = None
            return super().ask(do, **arguments)

    monkeypatch.setattr(measurement, "Worker", Recorder)
    monkeypatch.setattr(bare_machine, "fastest_cpus", lambda count: [7] * count)
    backend, _ = load_backend()
    config = make_config(threads=(1, 2), backend=backend, pin=True)
    report = run_bench([make_model("a", delay_ms=4.0)], config, open_dataset(faces), machine=bare_machine)
    assert [(row.model, row.backend, row.threads) for row in report.rows] == [("a", backend, 1), ("a", backend, 2)]
    assert [row.latency and row.latency.p50 for row in report.rows] == pytest.approx([4.0 + TICK_MS, 2.0 + TICK_MS])
    assert pinned == [[7], [7, 7]]
    after_the_rounds = asked[len(asked) - asked[::-1].index("run") :]
    # Memory before anything else swells it; a file is scored once, whatever its threads.
    assert after_the_rounds == ["memory", "memory", "stages", "network", "stages", "network", "predict"]
    assert all(row.accuracy for row in report.rows)


def test_a_model_named_twice_is_one_row_and_equal_stems_keep_their_folders(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, tmp_path: Path
) -> None:
    first = make_model("same")
    second = tmp_path / "other" / "same.tflite"
    second.parent.mkdir()
    second.write_text(first.read_text())
    report = run_bench([first, first, second], make_config(), machine=bare_machine)
    assert [row.model for row in report.rows] == [str(first), str(second)]


def test_rounds_begin_with_another_row_each_time() -> None:
    assert list(interleaved(["a", "b"], 3)) == ["a", "b", "b", "a", "a", "b"]  # type: ignore[list-item, comparison-overlap]


def test_known_labels_give_their_accuracy(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    models = [make_model("f", source="ab"), make_model("q", precision="int8", source="ab", wrong=[0, 1, 41])]
    report = run_bench(models, make_config(), open_dataset(faces), machine=bare_machine)
    full, quantised = (row.accuracy for row in report.rows)
    assert report.rows[0].same_network(report.rows[1])
    assert full is not None
    assert quantised is not None
    assert full.metrics.n == 30
    assert full.metrics.accuracy == 1.0
    assert full.drop is None
    assert quantised.metrics.accuracy == pytest.approx(0.9)
    assert quantised.reference == "f"
    assert quantised.drop is not None
    assert quantised.drop.drop_pp == pytest.approx(10.0)
    assert quantised.drop.mcnemar_p == pytest.approx(0.25)
    assert quantised.recall_change_pp == pytest.approx({"angry": -20.0, "happy": -10.0, "neutral": 0.0})
    document = report.to_json()["results"][1]
    assert document["accuracy_drop_pp"] == pytest.approx(10.0)
    assert document["per_class"]["angry"]["recall"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("kinds", "references"),
    [
        (["int8:a", "float16:a", "float32:a"], ["2", "2", None]),
        (["int8:a", "float16:a", "float32:b"], ["1", None, None]),
        (["int8:a", "int8:a"], [None, None]),
        (["float32:", "int8:"], [None, None]),  # files that do not say what they were made from
    ],
)
def test_a_drop_is_that_from_the_float_file_of_the_same_network(
    kinds: list[str],
    references: list[str | None],
    make_model: MakeModel,
    make_config: MakeConfig,
    bare_machine: Machine,
    faces: Path,
) -> None:
    models = []
    for number, kind in enumerate(kinds):
        precision, _, source = kind.partition(":")
        models.append(make_model(str(number), precision=precision, source=source))
    rows = run_bench(models, make_config(), open_dataset(faces), machine=bare_machine).rows
    assert [row.accuracy and row.accuracy.reference for row in rows] == references


def test_classes_keep_only_their_images(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    config = make_config(classes=("happy", "angry"))
    report = run_bench([make_model()], config, open_dataset(faces), machine=bare_machine)
    accuracy = report.rows[0].accuracy
    assert accuracy is not None
    assert accuracy.metrics.labels == ("happy", "angry")
    assert accuracy.metrics.n == 20


def test_labels_in_upper_case_are_the_classes_of_the_data(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    models = [make_model("a", labels=["Angry", "Happy", "Neutral"]), make_model("b")]
    for row in run_bench(models, make_config(), open_dataset(faces), machine=bare_machine).rows:
        assert row.accuracy is not None
        assert (row.accuracy.metrics.n, row.accuracy.metrics.accuracy) == (30, 1.0)


def test_data_with_other_labels_is_refused_before_anything_is_timed(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    model = make_model(labels=["cat", "dog"])
    with pytest.raises(DatasetError, match=r"classes angry, happy, neutral, the model knows cat, dog"):
        run_bench([model], make_config(), open_dataset(faces), machine=bare_machine)


def test_a_class_that_one_model_lacks_is_refused_before_anything_is_timed(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("timed first")

    monkeypatch.setattr(measurement.Measurement, "warm", never)
    models = [make_model("a"), make_model("b", labels=["angry", "happy"])]
    with pytest.raises(OptionError, match="unknown class 'neutral'"):
        run_bench(models, make_config(classes=("angry", "neutral")), open_dataset(faces), machine=bare_machine)


@pytest.mark.parametrize("moment", ["open", 0, 25])
def test_a_crash_is_its_row_and_the_others_go_on(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path, moment: object
) -> None:
    models = [make_model("bad", dies=moment), make_model("good")]
    report = run_bench(models, make_config(), open_dataset(faces), machine=bare_machine)
    bad, good = report.rows
    assert bad.error == "the interpreter crashed (killed by SIGSEGV)"
    assert bad.accuracy is None
    assert good.error is None
    assert good.latency is not None
    assert good.accuracy is not None
    assert report.recommendation.model == "good"


def test_a_model_that_crashes_after_some_rounds_is_neither_recommended_nor_let_through(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    slow = make_model("slow", delay_ms=4.0)
    before = run_bench([make_model("fast", delay_ms=1.0), slow], make_config(), machine=bare_machine)
    after = run_bench([make_model("fast", delay_ms=1.0, dies=200), slow], make_config(), machine=bare_machine)
    assert before.recommendation.model == "fast"
    assert after.rows[0].latency is not None
    assert after.rows[0].error == "the interpreter crashed (killed by SIGSEGV)"
    assert after.recommendation.model == "slow"
    found = compare_reports(after, as_baseline(before), "before", Limits())
    assert (found.changes[0].figure, found.changes[0].verdict) == ("runs", "failed")


def test_a_model_that_hangs_is_its_row_and_the_others_go_on(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "PATIENCE_S", 2.0)
    after_warm_up = 120
    models = [make_model("stuck", hangs=after_warm_up), make_model("good")]
    stuck, good = run_bench(models, make_config(), machine=bare_machine).rows
    assert stuck.error is not None
    assert stuck.error.startswith("no answer to run within")
    assert good.latency is not None


def test_a_model_that_gives_nan_is_its_rows_and_the_others_go_on(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    models = [make_model("nan", nan=True, delay_ms=0.5), make_model("good", delay_ms=4.0)]
    report = run_bench(models, make_config(threads=(1, 2)), open_dataset(faces), machine=bare_machine)
    *bad, good, _ = report.rows
    assert all("gives NaN or infinity" in str(row.error) for row in bad)
    assert [row.accuracy for row in bad] == [None, None]
    assert good.accuracy is not None
    assert report.recommendation.model == "good"
    json.dumps(report.to_json(), allow_nan=False)


def test_a_file_that_is_no_model_is_its_row(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    model = make_model("odd", labels=None)
    report = run_bench([model, make_model("good")], make_config(), machine=bare_machine)
    assert report.rows[0].error == "the model carries no metadata"
    assert report.rows[1].latency is not None


def test_nothing_but_crashes_is_an_error(make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine) -> None:
    with pytest.raises(EdgeEmotionError, match=r"no model could be run; .*bad.tflite: the interpreter crashed"):
        run_bench([make_model("bad", dies="open")], make_config(), machine=bare_machine)


def test_an_interrupted_bench_reports_what_it_has(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    models = [make_model("a", delay_ms=1.0), make_model("b", delay_ms=3.0)]
    report = run_bench(models, make_config(), machine=bare_machine, progress=interrupt)
    assert report.interrupted
    assert [len(row.round_p50_ms) for row in report.rows] == [3, 2]
    assert report.rows[1].latency is not None
    assert report.rows[1].latency.p50 == pytest.approx(3.0 + TICK_MS)
    assert any("interrupted" in note for note in report.notes)
    json.dumps(report.to_json(), allow_nan=False)


def test_interrupted_while_scoring_keeps_the_accuracy_of_the_files_that_are_done(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if total == 2 and len(seen) > 10:  # the rounds are 20
            raise KeyboardInterrupt

    models = [make_model("a"), make_model("b")]
    report = run_bench(models, make_config(), open_dataset(faces), machine=bare_machine, progress=interrupt)
    assert report.interrupted
    assert [row.accuracy is not None for row in report.rows] == [True, False]
    assert all(row.latency for row in report.rows)


def test_interrupted_before_anything_was_timed(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine, faces: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    report = run_bench([make_model()], make_config(), open_dataset(faces), machine=bare_machine, progress=interrupt)
    assert report.interrupted
    assert report.rows[0].latency is None
    assert report.recommendation.model is None


def test_an_interrupted_sustained_run_keeps_its_points(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    def interrupt(done: int, total: int) -> None:
        if total == 50 and done == 4:
            raise KeyboardInterrupt

    config = make_config(sustained_s=50.0)
    report = run_bench([make_model(delay_ms=100.0)], config, machine=bare_machine, progress=interrupt)
    assert report.interrupted
    assert report.sustained is not None
    assert len(report.sustained.points) == 4
    assert report.rows[0].latency is not None


def test_a_sustained_run_shows_that_a_board_slows_down(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    slowing = [1.0] * 5000 + [2.0] * 20000
    config = make_config(sustained_s=12.0)
    report = run_bench([make_model(delay_ms=slowing)], config, machine=bare_machine)
    assert report.sustained is not None
    assert report.sustained.ratio is not None
    assert report.sustained.ratio.value > 1.5
    assert report.sustained.verdict.startswith("slows down")
    assert all(point.vitals.temperature_c is None for point in report.sustained.points)


def test_what_a_runtime_cannot_do_is_a_note(
    make_model: MakeModel, make_config: MakeConfig, bare_machine: Machine
) -> None:
    report = run_bench([make_model()], make_config(profile=True), machine=bare_machine)
    assert report.rows[0].error is None
    assert any("no profile" in note for note in report.notes)
    assert report.rows[0].macs is None
