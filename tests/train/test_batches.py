import dataclasses

import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.metadata import InputSpec
from edge_emotion.train.augment import Augmentation
from edge_emotion.train.batches import Batches
from edge_emotion.train.targets import hard_targets
from edge_emotion.train.views import Views

SPEC = InputSpec(8, 8, "grey", -1.0, 1.0)


def split(n: int = 10) -> Split:
    images = np.arange(n, dtype=np.uint8).repeat(64).reshape(n, 8, 8, 1) * 20
    labels = np.arange(n, dtype=np.int64) % 3
    return Split("train", ("a", "b", "c"), images, labels, tuple(str(i) for i in range(n)))


def made(n: int = 10, size: int = 4, seed: int = 0, augmentation: Augmentation | None = None) -> Batches:
    return Batches(Views(split(n), size, seed, augmentation), hard_targets(split(n)), SPEC)


def levels(batches: Batches, steps: range) -> list[int]:
    return [round((float(v) + 1) * 255 / 40) for step in steps for v in batches[step][0][:, 0, 0, 0]]


def test_an_epoch_visits_every_image_once_and_ends_with_the_rest() -> None:
    batches = made()
    assert batches.per_epoch == 3
    assert [len(batches[step][0]) for step in range(3)] == [4, 4, 2]
    assert sorted(levels(batches, range(3))) == list(range(10))
    assert sorted(levels(batches, range(3, 6))) == list(range(10))


def test_each_epoch_has_another_order() -> None:
    batches = made()
    assert levels(batches, range(3)) != levels(batches, range(3, 6))


def test_targets_are_the_labels_of_the_images() -> None:
    images, targets = made(seed=3)[1]
    assert images.dtype == targets.dtype == np.float32
    for image, target in zip(images, targets, strict=True):
        level = round((float(image[0, 0, 0]) + 1) * 255 / 40)
        assert target.tolist() == [float(level % 3 == k) for k in range(3)]


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_a_batch_depends_on_its_step_alone(augmentation: Augmentation | None) -> None:
    asked_in_order = made(augmentation=augmentation)
    in_order = [asked_in_order[step] for step in range(7)]
    backwards = made(augmentation=augmentation)
    for step in reversed(range(7)):
        np.testing.assert_array_equal(backwards[step][0], in_order[step][0])
        np.testing.assert_array_equal(backwards[step][1], in_order[step][1])


def test_views_come_again_with_their_own_targets() -> None:
    views = Views(split(), 4, 0, Augmentation(), number=2)
    targets = np.stack([hard_targets(split()), np.full((10, 3), 1 / 3, np.float32)])
    batches = Batches(views, targets, SPEC)
    for step in range(6):
        for again in (6, 12):
            np.testing.assert_array_equal(batches[step][0], batches[step + again][0])
            np.testing.assert_array_equal(batches[step][1], batches[step + again][1])
    assert not np.array_equal(batches[0][0], batches[3][0])
    assert {*np.unique(batches[0][1])} == {0.0, 1.0}
    assert {*np.unique(batches[3][1])} == {np.float32(1 / 3)}


def test_another_seed_gives_other_batches() -> None:
    assert levels(made(), range(3)) != levels(made(seed=1), range(3))


def test_one_image_in_a_batch_of_many() -> None:
    images, targets = made(1, 128, augmentation=Augmentation())[5]
    assert images.shape == (1, 8, 8, 1)
    assert targets.tolist() == [[1.0, 0.0, 0.0]]


def test_values_are_those_of_the_device() -> None:
    from edge_emotion.edge_runtime.preprocess import normalise

    images, _ = made(size=10)[0]
    assert sorted(images[:, 0, 0, 0]) == sorted(normalise(split().images, SPEC)[:, 0, 0, 0])


def test_mixup_mixes_images_and_targets_by_the_same_share() -> None:
    plain, mixed = made(10, 10), dataclasses.replace(made(10, 10), mixup=1.0)
    images, targets = mixed[0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    sources, one_hot = plain[0]
    pairs = [
        (share, j)
        for share in (targets.max(axis=1).min(), 1 - targets.max(axis=1).min())
        for j in range(10)
        if np.allclose(share * sources[0] + (1 - share) * sources[j], images[0], atol=1e-5)
        and np.allclose(share * one_hot[0] + (1 - share) * one_hot[j], targets[0], atol=1e-5)
    ]
    assert pairs
    np.testing.assert_array_equal(mixed[0][0], images)  # the same step, the same mixture
    assert not np.array_equal(images, sources)
