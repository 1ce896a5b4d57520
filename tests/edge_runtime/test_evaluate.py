from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.dataset import Dataset, Split
from edge_emotion.edge_runtime.errors import DatasetError, ModelError, OptionError
from edge_emotion.edge_runtime.evaluate import (
    Evaluation,
    ParallelClassifier,
    classes_in_common,
    evaluate,
    load_split_for,
)
from edge_emotion.edge_runtime.metadata import ModelMetadata
from edge_emotion.edge_runtime.metrics import softmax
from edge_emotion.edge_runtime.preprocess import Pixels
from numpy.typing import NDArray

MODEL = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"
LABELS = ("dark", "grey", "bright")


def grey_images(n: int, classes: tuple[str, ...] = LABELS) -> Split:
    """Plain images whose brightness is their class: black, mid-grey, white."""
    labels = np.arange(n) % len(classes)
    levels = np.array([{"dark": 0, "grey": 128, "bright": 255}[name] for name in classes], np.uint8)
    images = np.broadcast_to(levels[labels][:, None, None, None], (n, 48, 48, 1)).copy()
    return Split("validation", classes, images, labels.astype(np.int64), tuple(f"{i}.png" for i in range(n)))


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 3, 301])
def test_several_interpreters_give_the_bits_of_one(workers: int, n: int) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, 48, 48, 1), np.uint8)
    with ParallelClassifier(MODEL, workers=workers) as many, EmotionClassifier(MODEL) as one:
        np.testing.assert_array_equal(many.logits(images), one.logits(images))


def test_every_image_is_scored_once_and_progress_ends_at_all() -> None:
    seen: list[tuple[int, int]] = []
    with ParallelClassifier(MODEL) as model:
        result = evaluate(model, grey_images(301), lambda done, total: seen.append((done, total)))
    assert result.metrics.n == 301
    assert result.metrics.accuracy == 1
    assert seen[-1] == (301, 301)


def test_splits_and_evaluations_are_themselves_only() -> None:
    split, same = grey_images(3), grey_images(3)
    logits = np.eye(3, dtype=np.float32)
    assert split == split
    assert split != same
    assert Evaluation.of_logits(split, logits) != Evaluation.of_logits(split, logits)


def test_classes_that_the_split_lacks_are_masked() -> None:
    with ParallelClassifier(MODEL) as model:
        result = evaluate(model, grey_images(10, ("bright", "dark")))
    assert result.metrics.accuracy == 1
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=1e-6)


def test_the_temperature_scales_and_changes_no_label() -> None:
    with ParallelClassifier(MODEL) as model:
        result = evaluate(model, grey_images(9))
    cooler = Evaluation.of_logits(result.split, result.logits, 2.0)
    np.testing.assert_array_equal(cooler.predicted, result.predicted)
    np.testing.assert_allclose(cooler.probabilities, softmax(result.logits / 2))
    assert cooler.temperature == 2.0


def test_images_whose_highest_logit_two_classes_share_are_counted() -> None:
    logits = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], np.float32)
    result = Evaluation.of_logits(grey_images(4), logits)
    assert result.ties == 3
    assert result.to_json()["ties"] == 3
    np.testing.assert_array_equal(result.predicted, [0, 0, 0, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_gives_no_numbers_is_an_error(value: float) -> None:
    class Broken:
        metadata = ModelMetadata(LABELS, name="broken")

        def logits(self, pixels: Pixels) -> NDArray[np.float32]:
            return np.full((len(pixels), 3), value, np.float32)

        def close(self) -> None:
            pass

    with pytest.raises(ModelError, match="broken gives NaN or infinity"):
        evaluate(Broken(), grey_images(3))


def test_an_unknown_class_no_images_and_no_model() -> None:
    with ParallelClassifier(MODEL) as model:
        strange = grey_images(4)
        with pytest.raises(OptionError):
            evaluate(
                model, Split("validation", ("dark", "grey", "blue"), strange.images, strange.labels, strange.files)
            )
        with pytest.raises(DatasetError, match="no images"):
            evaluate(model, grey_images(0))
    with pytest.raises(ModelError, match="does not exist"):
        ParallelClassifier(MODEL.with_name("nowhere.tflite"))


def dataset_of(*classes: str) -> Dataset:
    return Dataset(Path("faces"), classes, {"validation": {name: () for name in classes}})


@pytest.mark.parametrize("classes", [("freude", "wut"), ("dark ", "grey")])
def test_data_with_fewer_than_two_of_a_models_classes_says_which_there_are(classes: tuple[str, ...]) -> None:
    with ParallelClassifier(MODEL) as model, pytest.raises(DatasetError) as error:
        load_split_for(model, dataset_of(*classes), "validation", None)
    assert str(error.value) == (
        f"faces has the classes {', '.join(classes)}, the model knows dark, grey, bright: "
        "fewer than two are common; rename the folders"
    )


def test_an_unknown_class_is_blamed_where_it_was_named() -> None:
    with ParallelClassifier(MODEL) as model, pytest.raises(OptionError, match="unknown class 'bleak'"):
        load_split_for(model, dataset_of("dark", "wut"), "validation", ("dark", "bleak"))


def test_classes_in_common_are_those_of_the_data_and_of_all_models() -> None:
    models = [ModelMetadata(LABELS), ModelMetadata(("Bright", "grey", "dark")), ModelMetadata(LABELS)]
    assert classes_in_common(dataset_of("Grey", "bright", "wut"), models) == ("grey", "bright")
    with pytest.raises(
        DatasetError, match=r"models know dark, grey, bright and Bright, grey, dark: .*, or bench the models"
    ):
        classes_in_common(dataset_of("grey", "wut"), models)
