from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.convert.calibration import Calibration
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import DatasetError, ImageError, OptionError
from edge_emotion.edge_runtime.metadata import InputSpec

from .conftest import SPEC, shades


def _class_counts(calibration: Calibration) -> list[int]:
    return [sum(f"/{name}/" in file for file in calibration.files) for name in ("dark", "grey", "bright")]


def test_the_sample_is_balanced(training: Split) -> None:
    assert _class_counts(Calibration.from_split(training, 30)) == [10, 10, 10]
    assert _class_counts(Calibration.from_split(training, 31)) == [11, 10, 10]


def test_a_class_that_runs_out_leaves_its_share_to_the_others(training: Split) -> None:
    few = training.take(np.r_[0:3, 60:180])
    assert _class_counts(Calibration.from_split(few, 31)) == [3, 14, 14]


def test_more_samples_than_images_takes_all(training: Split) -> None:
    assert len(Calibration.from_split(training, 10_000).files) == len(training)


def test_the_seed_decides_and_the_hash_tells(training: Split) -> None:
    first, again, other = (Calibration.from_split(training, 30, seed) for seed in (0, 0, 1))
    assert first.files == again.files
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256
    latin1 = dataclasses.replace(
        first, files=("caf\udce9.png", *first.files[1:])
    )  # a name that is not UTF-8, as Python reads it
    assert latin1.sha256 != first.sha256
    assert first.to_json()["files"] == list(first.files)


def test_images_of_validation_are_passed_over(training: Split) -> None:
    leaked = training.take(np.arange(0, 180, 2))
    calibration = Calibration.from_split(training, 180, validation=leaked)
    assert calibration.left_out == 90
    assert not set(calibration.files) & set(leaked.files)


def test_nothing_but_validation_images_is_an_error(training: Split) -> None:
    with pytest.raises(DatasetError, match="none can calibrate"):
        Calibration.from_split(training, 10, validation=training)


def test_no_samples_is_an_option_error(training: Split) -> None:
    with pytest.raises(OptionError):
        Calibration.from_split(training, 0)


def _write(folder: Path, split: Split, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(split.images[:count]):
        assert cv2.imwrite(str(folder / f"{i:03}.png"), image)


def test_a_folder_needs_no_labels(tmp_path: Path, training: Split) -> None:
    _write(tmp_path / "calibration", training, 12)
    calibration = Calibration.from_folder(tmp_path / "calibration", SPEC, 8)
    assert len(calibration.files) == 8
    assert calibration.images.shape == (8, 8, 8, 1)
    assert calibration.files == tuple(sorted(calibration.files))
    assert calibration.files == Calibration.from_folder(tmp_path / "calibration", SPEC, 8).files
    assert calibration.files != Calibration.from_folder(tmp_path / "calibration", SPEC, 8, seed=1).files
    whole = Calibration.from_folder(tmp_path / "calibration", SPEC)
    np.testing.assert_array_equal(whole.images, training.images[:12])


def test_a_folder_is_prepared_for_the_model(tmp_path: Path, training: Split) -> None:
    _write(tmp_path / "calibration", training, 3)
    spec = InputSpec(16, 12, "rgb")
    assert Calibration.from_folder(tmp_path / "calibration", spec).images.shape == (3, 12, 16, 3)


def test_a_validation_image_in_the_folder_is_a_leak(tmp_path: Path, training: Split, validation: Split) -> None:
    folder = tmp_path / "calibration"
    _write(folder, training, 3)
    assert cv2.imwrite(str(folder / "leak.png"), validation.images[5])
    with pytest.raises(DatasetError, match=r"1 validation image\(s\), such as leak.png"):
        Calibration.from_folder(folder, SPEC, validation=validation)


def test_an_empty_missing_or_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        Calibration.from_folder(tmp_path / "nowhere", SPEC)
    (tmp_path / ".hidden.jpg").touch()
    with pytest.raises(ImageError, match="holds no pictures"):
        Calibration.from_folder(tmp_path, SPEC)
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(DatasetError, match="no readable image"):
        Calibration.from_folder(tmp_path, SPEC)


def test_unreadable_images_are_skipped_with_a_warning(
    tmp_path: Path, training: Split, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path, training, 2)
    (tmp_path / "bad.jpg").write_text("not an image")
    with caplog.at_level(logging.WARNING):
        assert len(Calibration.from_folder(tmp_path, SPEC).files) == 2
    assert "bad.jpg" in caplog.text


def test_a_calibration_is_never_empty() -> None:
    split = shades("train", 2, 0)
    good = Calibration.from_split(split, 4)
    with pytest.raises(DatasetError):
        dataclasses.replace(good, files=())
