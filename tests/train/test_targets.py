import dataclasses
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import DatasetError, EdgeEmotionError, ModelError, OptionError
from edge_emotion.edge_runtime.metadata import InputSpec, ModelMetadata
from edge_emotion.edge_runtime.metrics import softmax
from edge_emotion.edge_runtime.preprocess import Pixels, normalise
from edge_emotion.train.augment import Augmentation
from edge_emotion.train.batches import Batches
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset
from edge_emotion.train.targets import (
    annotated_targets,
    balanced,
    hard_targets,
    load_targets,
    mix,
    save_targets,
    teacher_labels,
    training_targets,
    vote_labels,
)
from edge_emotion.train.views import Views
from hypothesis import given
from hypothesis import strategies as st

CLASSES = ("angry", "happy", "sad")
labels_of = st.lists(st.integers(0, 2), min_size=1, max_size=30)


def split(labels: list[int], side: int = 4) -> Split:
    images = np.arange(len(labels) * side * side, dtype=np.uint8).reshape(-1, side, side, 1)
    files = tuple(f"images/train/{CLASSES[k]}/{i}.jpg" for i, k in enumerate(labels))
    return Split("train", CLASSES, images, np.array(labels, np.int64), files)


def seen(labels: list[int]) -> Views:
    """By teachers that are asked about each image as it is."""
    return Views(split(labels), 2, 0)


class Fake:
    """Says `happy` of an image as strongly as its left half is brighter than its right one."""

    def __init__(self, labels: tuple[str, ...] = ("neutral", "sad", "happy", "angry"), side: int = 4) -> None:
        self.metadata = ModelMetadata(labels, InputSpec(side, side), name="fake")

    def logits(self, pixels: Pixels) -> np.ndarray:
        half = pixels.shape[2] // 2
        values = np.zeros((len(pixels), len(self.metadata.labels)), np.float32)
        sides = pixels.astype(np.float32)
        values[:, self.metadata.labels.index("happy")] = (sides[:, :, :half] - sides[:, :, half:]).mean(axis=(1, 2, 3))
        return values

    def close(self) -> None:
        pass


@given(labels_of, st.floats(0, 0.5))
def test_smoothed_rows_sum_to_one_and_keep_their_label(labels: list[int], smoothing: float) -> None:
    targets = hard_targets(split(labels), smoothing)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    assert targets.argmax(axis=1).tolist() == labels
    np.testing.assert_allclose(targets.min(axis=1), smoothing / 3, atol=1e-6)


@given(labels_of, st.floats(0, 1))
def test_class_weights_have_a_mean_of_one_and_favour_the_rare(labels: list[int], exponent: float) -> None:
    images = split(labels)
    weights = balanced(hard_targets(images), images, exponent).sum(axis=1)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    counts = np.bincount(labels, minlength=3)[labels]
    if exponent:
        order = np.argsort(counts)
        assert (np.diff(weights[order]) < 1e-6).all()
    if exponent == 1:
        of_class = np.bincount(labels, weights, minlength=3)
        np.testing.assert_allclose(of_class[of_class > 0], of_class.max(), rtol=1e-4)


def test_a_soft_row_of_zeros_changes_nothing() -> None:
    hard = np.array([[1, 0], [0, 1]], np.float32)
    soft = np.array([[0, 0], [0.5, 0.5]], np.float32)
    np.testing.assert_allclose(mix(hard, soft, 0.4), np.array([[1, 0], [0.2, 0.8]]), rtol=1e-6)


def test_teachers_see_each_image_and_its_mirror_and_are_averaged() -> None:
    views = seen([0, 1, 2])
    once = teacher_labels([Fake()], views)
    np.testing.assert_allclose(once.sum(axis=1), 1, rtol=1e-6)
    means = 1 / (2 + np.exp([2.0, -2.0]))  # a ramp: the right half is 2 brighter, in the mirror 2 darker
    np.testing.assert_allclose(once[:, 0], means.mean(), rtol=1e-5)
    np.testing.assert_allclose(teacher_labels([Fake(), Fake(CLASSES)], views), once, rtol=1e-6)


def test_teachers_see_the_augmented_images_that_the_network_will_see() -> None:
    shown: list[Pixels] = []

    class Noting(Fake):
        def logits(self, pixels: Pixels) -> np.ndarray:
            shown.append(pixels)
            return super().logits(pixels)

    views = Views(split([0, 1, 2, 0, 1]), 2, 7, Augmentation(), number=3)
    moves: list[tuple[int, int]] = []
    soft = teacher_labels([Noting()], views, lambda *move: moves.append(move))
    assert soft.shape == (3, 5, 3)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-6)
    assert moves == [(2, 15), (4, 15), (5, 15), (7, 15), (9, 15), (10, 15), (12, 15), (14, 15), (15, 15)]
    batches = Batches(views, soft, Fake().metadata.input)
    for step in range(2 * 9):
        images, targets = batches[step]
        np.testing.assert_array_equal(images, normalise(shown[step % 9], batches.spec))
        columns = [3, 2, 1]  # of angry, happy, sad
        np.testing.assert_allclose(targets, softmax(Fake().logits(shown[step % 9])[:, columns]), rtol=1e-6)


@pytest.mark.parametrize(("teacher_views", "asked"), [(0, 2), (1, 1), (16, 1)])
def test_without_augmentation_teachers_see_each_image_as_it_is(teacher_views: int, asked: int) -> None:
    views, moves = seen([0, 1, 2]), []
    preset = dataclasses.replace(get_preset("seed"), label_smoothing=0.0)
    config = TrainConfig(preset, CLASSES, teachers=("fake",), teacher_weight=1, teacher_views=teacher_views)
    annotated = annotated_targets(views.split, config)
    targets = training_targets(annotated, views, config, [Fake()], lambda *move: moves.append(move))
    assert moves[-1] == (3 * asked, 3 * asked)
    once = softmax(Fake().logits(views.split.images)[:, [3, 2, 1]])
    expected = once if asked == 1 else teacher_labels([Fake()], views)
    np.testing.assert_allclose(targets, expected, rtol=1e-6)
    assert not np.allclose(once, teacher_labels([Fake()], views))  # the mirror image would tell


def test_no_images_have_no_soft_labels() -> None:
    for number in (0, 2):
        assert teacher_labels([Fake()], Views(split([]), 4, 0, number=number)).size == 0


def test_a_teacher_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="fake cannot teach these classes: unknown class 'sad'"):
        teacher_labels([Fake(("angry", "happy"))], seen([0]))
    with pytest.raises(OptionError, match="shape"):
        teacher_labels([Fake(side=8)], seen([0]))


def test_a_teacher_that_gives_no_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fake, "logits", lambda self, pixels: np.full((len(pixels), 4), np.nan, np.float32))
    with pytest.raises(ModelError, match="gives NaN"):
        teacher_labels([Fake()], seen([0]))


def test_a_teacher_that_spells_its_classes_otherwise_teaches_the_same() -> None:
    views = seen([0, 1, 2])
    spelt = Fake()
    spelt.metadata = ModelMetadata(("Neutral", "Sad", "Happy", "Angry"), spelt.metadata.input)
    spelt.logits = Fake().logits  # type: ignore[method-assign]
    np.testing.assert_array_equal(teacher_labels([spelt], views), teacher_labels([Fake()], views))


def votes(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "votes.csv"
    path.write_text(text)
    return path


def table(images: Split, counts: list[tuple[int, int]]) -> str:
    return "file,smile,frown\n" + "".join(f"{i}.jpg,{a},{b}\n" for i, (a, b) in enumerate(counts))


@pytest.mark.train
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10)), min_size=2, max_size=30))
def test_what_votes_say_are_probabilities_of_the_labels_there_are(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int]]
) -> None:
    images = split([label for label, _ in drawn])
    path = votes(tmp_path_factory.mktemp("votes"), table(images, [(n, 10 - n) for _, n in drawn]))
    if len(set(images.labels)) < 2:
        with pytest.raises(DatasetError, match="at least two classes"):
            vote_labels(path, images)
        return
    soft = vote_labels(path, images)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert (soft.any(axis=0) == np.isin(np.arange(3), images.labels)).all()


@pytest.mark.train
def test_votes_for_other_classes_are_translated_as_the_labels_show(tmp_path: Path) -> None:
    labels = [0] * 40 + [1] * 40 + [0] * 10  # a frown is called angry, a smile happy, but for ten smiles
    images = split(labels)
    soft = vote_labels(votes(tmp_path, table(images, [(1, 9)] * 40 + [(9, 1)] * 50)), images)
    np.testing.assert_allclose(soft[0], (1, 0, 0), atol=0.1)
    np.testing.assert_allclose(soft[40], (0.2, 0.8, 0), atol=0.05)  # 10 of 50
    np.testing.assert_allclose(soft[80], soft[40], rtol=1e-6)  # its own label makes no difference


@pytest.mark.train
def test_votes_are_matched_by_file_name_and_none_is_no_opinion(tmp_path: Path) -> None:
    path = votes(tmp_path, "smile,file,frown\n0,2.jpg,9\n9,1.jpg,0\n0,0.jpg,0\n5,77.jpg,5\n")
    soft = vote_labels(path, split([0, 1, 2, 0]))
    assert not soft[[0, 3]].any()  # no vote, no row
    assert soft[1].argmax() == 1
    assert soft[2].argmax() == 2


@pytest.mark.train
def test_a_path_in_the_dataset_goes_before_a_file_name(tmp_path: Path) -> None:
    images = dataclasses.replace(
        split([0, 1, 0]), files=("train/angry/0.jpg", "train/happy/0.jpg", "train/angry/1.jpg")
    )
    rows = "1.jpg,9,0\ntrain/happy/0.jpg,9,0\ntrain/angry/0.jpg,0,9\ntrain/angry/1.jpg,0,9\n"
    soft = vote_labels(votes(tmp_path, "file,smile,frown\n" + rows), images)
    assert soft.argmax(axis=1).tolist() == [0, 1, 0]
    np.testing.assert_array_equal(soft[0], soft[2])
    with pytest.raises(DatasetError, match=r"votes for 0.jpg, the name of 2 .* such as train/happy/0.jpg"):
        vote_labels(votes(tmp_path, "file,smile,frown\ntrain/angry/0.jpg,0,9\n0.jpg,9,0\n"), images)


@pytest.mark.train
def test_a_row_that_is_there_twice_says_the_same_both_times(tmp_path: Path) -> None:
    text = "file,smile,frown\n0.jpg,9,1\n1.jpg,1,9\n0.jpg,9,1\n"
    assert vote_labels(votes(tmp_path, text), split([1, 0])).argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(DatasetError, match=r"two rows for 0.jpg that differ"):
        vote_labels(votes(tmp_path, f"{text}0.jpg,8,2\n"), split([1, 0]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a column `file`"),
        ("file\n0.jpg\n", "at least one of votes"),
        ("name,angry\n0.jpg,1\n", "needs a column `file`"),
        ("file,angry,happy,sad\n", "votes for 0 of the 2 training images"),
        ("file,angry,happy,sad\n1.jpg,1,0,0\n", "votes for 1 of the 2 training images"),
        ("file,angry,happy,sad\n0.jpg,1,0,0\n1.jpg,1,x,0\n", "votes.csv, line 3: a number for each"),
        ("file,angry,happy,sad\n0.jpg,1\n", "votes.csv, line 2: a number for each class"),
        ("file,angry,happy,sad\n0.jpg,1,-1,0\n", "negative"),
        ("file,angry,happy,sad\n0.jpg,nan,1,0\n", "negative or not numbers"),
    ],
)
def test_votes_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        vote_labels(votes(tmp_path, text), split([0, 1]))


def test_votes_that_are_not_there(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.csv", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DatasetError, match=f"^cannot read votes from {path}: {reason}$"):
            vote_labels(path, split([0]))


@pytest.mark.train
def test_a_run_mixes_all_it_was_given(tmp_path: Path) -> None:
    path = votes(tmp_path, "file,happiness,sadness,anger\n0.jpg,1,0,0\n3.jpg,0,1,0\n")
    preset = dataclasses.replace(get_preset("edge-s"), label_smoothing=0.1, class_balance=1.0)
    config = TrainConfig(preset, CLASSES, votes=str(path), votes_weight=0.2, teacher_weight=0.5)
    images = split([0, 0, 0, 1])
    hard = mix(hard_targets(images, 0.1), vote_labels(path, images), 0.2)
    for teacher_views, views in ((0, seen([0, 0, 0, 1])), (2, Views(images, 3, 0, Augmentation(), number=2))):
        mixed = 0.5 * hard + 0.5 * teacher_labels([Fake()], views)
        asking = dataclasses.replace(config, teacher_views=teacher_views)
        targets = training_targets(annotated_targets(images, config), views, asking, [Fake()])
        np.testing.assert_allclose(targets, mixed * [[2 / 3], [2 / 3], [2 / 3], [2]], rtol=1e-5)


def test_kept_targets_read_back_and_missing_ones_are_one_clear_line(tmp_path: Path) -> None:
    targets = hard_targets(split([0, 2]), 0.1)
    save_targets(tmp_path, targets)
    np.testing.assert_array_equal(load_targets(tmp_path), targets)
    with pytest.raises(EdgeEmotionError, match=f"^nothing to resume in {tmp_path / 'none'}: targets.npy: No such file"):
        load_targets(tmp_path / "none")
