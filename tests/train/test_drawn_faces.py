from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.labels import EMOTIONS
from edge_emotion.train.cleaning import inspect
from edge_emotion.train.drawn_faces import EXPRESSIONS, draw, draw_sample, write_dataset


def test_an_image_is_a_48_pixel_grey_picture_with_content() -> None:
    for label in EMOTIONS:
        image = draw(label, np.random.default_rng(0))
        assert image.shape == (48, 48)
        assert image.dtype == np.uint8
        assert image.std() > 10


def test_every_emotion_has_an_expression_of_its_own() -> None:
    assert tuple(EXPRESSIONS) == EMOTIONS
    assert len(set(EXPRESSIONS.values())) == len(EMOTIONS)


def test_an_image_depends_on_seed_split_class_and_index_alone() -> None:
    same = draw_sample("happy", 5, seed=2)
    draw_sample("sad", 0)
    np.testing.assert_array_equal(draw_sample("happy", 5, seed=2), same)
    for other in (
        draw_sample("happy", 6, 2),
        draw_sample("sad", 5, 2),
        draw_sample("happy", 5, 3),
        draw_sample("happy", 5, 2, "validation"),
    ):
        assert not np.array_equal(other, same)


def test_the_dataset_is_read_by_the_one_reader_and_is_clean(drawn_faces: Path) -> None:
    dataset = open_dataset(drawn_faces)
    assert dataset.classes == EMOTIONS
    train, validation = dataset.load("train"), dataset.load("validation")
    assert set(train.counts.values()) == {12}
    assert set(validation.counts.values()) == {4}
    assert inspect(train, validation).all.tolist() == []
    np.testing.assert_array_equal(train.images[0, :, :, 0], draw_sample("angry", 0))


def test_a_larger_dataset_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small = write_dataset(tmp_path / "small", 2, 1, classes=("happy", "sad"))
    large = write_dataset(tmp_path / "large", 8, classes=("happy", "sad"))
    assert len(list(large.rglob("*.png"))) == 2 * (8 + 2)
    for path in small.rglob("*.png"):
        assert path.read_bytes() == (large / path.relative_to(small)).read_bytes()


@pytest.mark.parametrize("label", [name for name in EMOTIONS if name != "neutral"])
def test_an_expression_shows(label: str) -> None:
    """The mean face of a class differs from the mean neutral one where the brows, eyes and mouth are."""
    mean = {
        name: np.mean([cv2.blur(draw_sample(name, i), (3, 3)) for i in range(60)], axis=0)
        for name in (label, "neutral")
    }
    assert np.abs(mean[label] - mean["neutral"])[10:44, 10:38].max() > 8
