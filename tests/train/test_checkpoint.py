import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import EdgeEmotionError
from edge_emotion.train.checkpoint import HISTORY_FILE, RESUME_FILE, Checkpoint, EpochResult, read_history


def epoch(number: int, val_accuracy: float) -> EpochResult:
    return EpochResult(number, 1 / 3, 0.5, 1.25, val_accuracy, 900.0, 0.1)


@pytest.fixture
def state() -> Checkpoint:
    weights = [np.full((2, 3), i, np.float32) for i in range(12)]  # past 9, where names no longer sort as numbers
    optimizer: list[np.ndarray] = [np.array(7, np.int64), np.ones((2, 3), np.float32)]
    return Checkpoint([epoch(1, 0.25), epoch(2, 0.75), epoch(3, 0.75)], weights, optimizer)


def test_a_state_reads_back_equal(tmp_path: Path, state: Checkpoint) -> None:
    state.save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded.history == state.history == read_history(tmp_path)
    for there, here in ((loaded.weights, state.weights), (loaded.optimizer, state.optimizer)):
        assert len(there) == len(here)
        for a, b in zip(there, here, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_the_best_epoch_has_the_lowest_loss_of_the_most_accurate(state: Checkpoint) -> None:
    assert state.best == state.history[1]  # the first of equals
    state.history.append(dataclasses.replace(epoch(4, 0.75), val_loss=1.0))
    state.history.append(dataclasses.replace(epoch(5, 0.5), val_loss=0.1))
    assert state.best == state.history[3]
    assert Checkpoint().best is None


def test_the_history_is_a_table_of_the_epochs(tmp_path: Path, state: Checkpoint) -> None:
    state.save(tmp_path)
    rows = list(csv.DictReader((tmp_path / HISTORY_FILE).read_text().splitlines()))
    assert [(row["epoch"], row["loss"]) for row in rows] == [("1", "0.333333"), ("2", "0.333333"), ("3", "0.333333")]


@pytest.mark.parametrize("row", [{"epoch": 1}, {**dataclasses.asdict(epoch(1, 0.5)), "f1": 0.5}])
def test_a_state_with_other_columns_is_of_another_version(tmp_path: Path, row: dict[str, float]) -> None:
    np.savez(tmp_path / RESUME_FILE, history=np.array(json.dumps([row])))
    with pytest.raises(EdgeEmotionError, match="another version of edge-emotion: train anew"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("size", [None, 0, 1, 500])
def test_a_state_that_is_missing_or_cut_off_is_refused(tmp_path: Path, state: Checkpoint, size: int | None) -> None:
    if size is not None:
        state.save(tmp_path)
        (tmp_path / RESUME_FILE).write_bytes((tmp_path / RESUME_FILE).read_bytes()[:size])
    reason = "is not whole: " if size is not None else ": No such file or directory$"
    with pytest.raises(EdgeEmotionError, match=f"^nothing to resume in {tmp_path}: {RESUME_FILE} ?{reason}"):
        Checkpoint.load(tmp_path)
