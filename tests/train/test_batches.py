import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec
from edge_emotion.train.augment import Augmentation
from edge_emotion.train.batches import Batches

SPEC = InputSpec(8, 8, "grey", -1.0, 1.0)


def split(n: int = 10) -> Split:
    images = np.arange(n, dtype=np.uint8).repeat(64).reshape(n, 8, 8, 1) * 20
    labels = np.arange(n, dtype=np.int64) % 3
    return Split("train", ("a", "b", "c"), images, labels, tuple(str(i) for i in range(n)))


def levels(batches: Batches, steps: range) -> list[int]:
    return [round((float(v) + 1) * 255 / 40) for step in steps for v in batches[step][0][:, 0, 0, 0]]


def test_an_epoch_visits_every_image_once_and_ends_with_the_rest() -> None:
    batches = Batches(split(), SPEC, 4, seed=0)
    assert batches.per_epoch == 3
    assert [len(batches[step][0]) for step in range(3)] == [4, 4, 2]
    assert sorted(levels(batches, range(3))) == list(range(10))
    assert sorted(levels(batches, range(3, 6))) == list(range(10))


def test_each_epoch_has_another_order() -> None:
    batches = Batches(split(), SPEC, 4, seed=0)
    assert levels(batches, range(3)) != levels(batches, range(3, 6))


def test_targets_are_the_labels_of_the_images() -> None:
    images, targets = Batches(split(), SPEC, 4, seed=3)[1]
    assert images.dtype == targets.dtype == np.float32
    for image, target in zip(images, targets, strict=True):
        level = round((float(image[0, 0, 0]) + 1) * 255 / 40)
        assert target.tolist() == [float(level % 3 == k) for k in range(3)]


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_a_batch_depends_on_its_step_alone(augmentation: Augmentation | None) -> None:
    asked_in_order = Batches(split(), SPEC, 4, 0, augmentation)
    in_order = [asked_in_order[step] for step in range(7)]
    backwards = Batches(split(), SPEC, 4, 0, augmentation)
    for step in reversed(range(7)):
        np.testing.assert_array_equal(backwards[step][0], in_order[step][0])
        np.testing.assert_array_equal(backwards[step][1], in_order[step][1])


def test_another_seed_gives_other_batches() -> None:
    assert levels(Batches(split(), SPEC, 4, 0), range(3)) != levels(Batches(split(), SPEC, 4, 1), range(3))


def test_one_image_in_a_batch_of_many() -> None:
    images, targets = Batches(split(1), SPEC, 128, 0, Augmentation())[5]
    assert images.shape == (1, 8, 8, 1)
    assert targets.tolist() == [[1.0, 0.0, 0.0]]


def test_values_are_those_of_the_device() -> None:
    from edge_emotion.edge_runtime.preprocess import normalise

    whole = split()
    images, _ = Batches(whole, SPEC, 10, 0)[0]
    assert sorted(images[:, 0, 0, 0]) == sorted(normalise(whole.images, SPEC)[:, 0, 0, 0])
    assert FACE_48.shape == (48, 48, 1)
