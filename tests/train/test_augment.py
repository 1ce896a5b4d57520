import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.train.augment import Augmentation, warp
from hypothesis import given
from hypothesis import strategies as st

WRONG = [("contrast", float("inf")), ("noise", float("nan")), ("erase", 2.0), ("erase_area", -1.0), ("noise", -1.0),
         ("scale", 1.0), ("contrast", 1.5)]  # fmt: skip
NOTHING = Augmentation(flip=False, rotation=0, scale=0, shift=0, brightness=0, contrast=0, erase=0)
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def noise(n: int = 3, side: int = 12, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_change_leaves_every_pixel(channels: int) -> None:
    images = noise(channels=channels)
    np.testing.assert_array_equal(NOTHING(images, rng()), images)


def test_flip_mirrors_some_images_and_leaves_the_others() -> None:
    images = noise(40)
    result = dataclasses.replace(NOTHING, flip=True)(images, rng())
    mirrored = [bool((out == image[:, ::-1]).all()) for out, image in zip(result, images, strict=True)]
    same = [bool((out == image).all()) for out, image in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 5 < sum(mirrored) < 35


def test_warp_shifts_by_whole_pixels_and_replicates_the_edge() -> None:
    images = noise(2)
    right = IDENTITY.copy()
    right[0, 2] = -3  # output x takes input x − 3
    down = IDENTITY.copy()
    down[1, 2] = -2
    result = warp(images, np.stack([right, down]))
    np.testing.assert_array_equal(result[0, :, 3:], images[0, :, :-3])
    np.testing.assert_array_equal(result[0, :, :3], np.repeat(images[0, :, :1], 3, axis=1))
    np.testing.assert_array_equal(result[1, 2:], images[1, :-2])
    np.testing.assert_array_equal(result[1, :2], np.repeat(images[1, :1], 2, axis=0))


def test_warp_interpolates_between_two_pixels() -> None:
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[0, :, 2:] = 100
    half = IDENTITY.copy()
    half[0, 2] = 0.5
    assert warp(image, half[None])[0, 0, :, 0].tolist() == [0, 50, 100, 100]


def test_neighbours_in_the_stack_do_not_leak_into_each_other() -> None:
    images = np.stack([np.full((8, 8, 1), level, np.uint8) for level in (0, 255, 0)])
    result = Augmentation(brightness=0, contrast=0, erase=0, rotation=45, shift=0.5)(images, rng())
    np.testing.assert_array_equal(result, images)


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    images = noise(1, side=5)
    quarter = np.array([[0, -1, 4], [1, 0, 0]], np.float32)  # input (x, y) = (4 − y, x)
    np.testing.assert_array_equal(warp(images, quarter[None])[0, :, :, 0], np.rot90(images[0, :, :, 0]))


def test_more_images_than_opencv_can_stack() -> None:
    images = noise(3000, side=12)
    np.testing.assert_array_equal(warp(images, np.repeat(IDENTITY[None], 3000, axis=0)), images)


def test_contrast_turns_about_mid_grey_and_brightness_shifts() -> None:
    grey = np.full((50, 4, 4, 1), 127, np.uint8)
    contrast = dataclasses.replace(NOTHING, contrast=0.5)(grey, rng())
    assert np.abs(contrast.astype(int) - 127).max() <= 1
    bright = dataclasses.replace(NOTHING, brightness=0.2)(grey, rng())
    levels = bright[:, 0, 0, 0]
    assert levels.min() < 100 < 150 < levels.max()
    assert (bright == levels[:, None, None, None]).all()
    assert abs(levels.astype(int) - 127).max() <= 52


def test_erasing_hits_about_as_often_and_as_much_as_asked() -> None:
    images = np.zeros((400, 24, 24, 1), np.uint8)
    result = dataclasses.replace(NOTHING, erase=0.5, erase_area=0.25)(images, rng())
    share = (result > 0).mean(axis=(1, 2, 3))
    assert 0.4 < (share > 0).mean() < 0.6
    assert share.max() < 0.30  # rounded sides may add a little


def test_same_generator_state_same_result_and_input_untouched() -> None:
    images = noise(6)
    before = images.copy()
    first, second = Augmentation()(images, rng()), Augmentation()(images, rng())
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(images, before)
    assert not np.array_equal(first, Augmentation()(images, np.random.default_rng(8)))


@pytest.mark.parametrize(
    ("limits", "measured", "limit"),
    [
        ({"rotation": 30.0}, lambda a: np.rad2deg(np.arctan2(a[:, 1, 0], a[:, 1, 1])), 30.0),
        ({"scale": 0.25}, lambda a: np.linalg.det(a[:, :, :2]) ** -0.5 - 1, 0.25),
        ({"shift": 0.1}, lambda a: a[:, 0, 2] / 40, 0.1),
        ({"shift": 0.1}, lambda a: a[:, 1, 2] / 20, 0.1),
    ],
    ids=["degrees", "scale", "shift of the width", "shift of the height"],
)
def test_a_change_keeps_to_its_limit_and_comes_near_it_both_ways(
    limits: dict[str, float], measured: Callable[[np.ndarray], np.ndarray], limit: float
) -> None:
    affine = dataclasses.replace(NOTHING, **limits).sample_affine((200, 20, 40, 1), rng())  # type: ignore[arg-type]
    values = measured(affine)
    assert np.abs(values).max() <= 1.0001 * limit
    assert values.min() < -limit / 2
    assert values.max() > limit / 2


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 9),
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    rotation=st.floats(0, 180),
    shift=st.floats(0, 0.9),
)
def test_any_batch_keeps_its_shape_and_type(
    seed: int, n: int, height: int, width: int, rotation: float, shift: float
) -> None:
    images = np.full((n, height, width, 1), 200, np.uint8)
    augmentation = Augmentation(rotation=rotation, shift=shift, brightness=0, contrast=0, erase=0)
    result = augmentation(images, np.random.default_rng(seed))
    assert result.shape == images.shape
    assert result.dtype == np.uint8
    assert (result == 200).all()  # nothing from outside the image comes in


def test_resampling_blurs_some_images_and_keeps_their_mean() -> None:
    images = noise(60, side=24)
    result = dataclasses.replace(NOTHING, resample=0.5)(images, rng())
    changed = np.array([bool((a != b).any()) for a, b in zip(images, result, strict=True)])
    assert 15 < changed.sum() < 45
    detail = np.abs(np.diff(result.astype(float), axis=2)).mean(axis=(1, 2, 3))
    assert detail[changed].max() < detail[~changed].min()
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), atol=8)


def test_noise_roughens_some_images_and_stays_within_bounds() -> None:
    images = np.stack([np.full((16, 16, 1), level, np.uint8) for level in (0, 128, 255)] * 20)
    result = dataclasses.replace(NOTHING, noise=0.5)(images, rng())
    rough = result.std(axis=(1, 2, 3)) > 0
    assert 15 < rough.sum() < 45
    grey = images[:, 0, 0, 0] == 128
    assert result[grey].std(axis=(1, 2, 3)).max() < 27
    np.testing.assert_allclose(result[grey].mean(axis=(1, 2, 3)), 128, atol=6)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_change_out_of_its_range_is_said(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"augmentation.{name} must be from"):
        dataclasses.replace(NOTHING, **{name: value})  # type: ignore[arg-type]
