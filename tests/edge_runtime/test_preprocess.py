import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import ImageError
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec
from edge_emotion.edge_runtime.preprocess import (
    Image,
    crop_face,
    decode,
    halve,
    is_truncated,
    normalise,
    prepare,
    read_image,
    resize,
    to_colour,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 130), st.integers(1, 130)))
RGB = InputSpec(32, 24, "rgb", -1, 1)


def encode(image: Image, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def noise(height: int, width: int, channels: int = 3) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_png_round_trip_is_exact() -> None:
    image = noise(20, 30)
    np.testing.assert_array_equal(decode(encode(image)), image)


def test_sixteen_bit_and_alpha_and_grey_images_work() -> None:
    deep = (noise(8, 8, 1).astype(np.uint16) << 8)[:, :, 0]
    np.testing.assert_array_equal(decode(encode(deep))[:, :, 0], (deep >> 8).astype(np.uint8))  # type: ignore[arg-type]
    alpha = noise(8, 8, 4)
    np.testing.assert_array_equal(decode(encode(alpha)), alpha[:, :, :3])
    grey = noise(8, 8, 1)
    np.testing.assert_array_equal(prepare(decode(encode(grey)), InputSpec(8, 8)), grey)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not an image .* save it as JPEG or PNG$"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
    ],
)
def test_what_is_no_image_says_so(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(data, "face.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@given(fraction=st.floats(0.02, 0.98))
def test_every_truncation_is_noticed(suffix: str, fraction: float) -> None:
    data = encode(noise(40, 40), suffix)
    assert not is_truncated(data)
    assert is_truncated(data[: max(9, int(len(data) * fraction))])


def test_a_jpeg_with_bytes_after_its_end_is_whole() -> None:
    assert not is_truncated(encode(noise(16, 16), ".jpg") + b"appended by a camera")


def test_a_thumbnails_end_marker_does_not_hide_a_truncation() -> None:
    data = encode(noise(64, 64), ".jpg")
    thumbnail = encode(noise(8, 8), ".jpg")
    application = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + application + data[2:]
    assert not is_truncated(whole)
    assert is_truncated(whole[: len(whole) - 200])


def test_a_picture_is_turned_as_its_camera_was() -> None:
    jpeg = encode(noise(16, 24), ".jpg")
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation 6: turn it to the right
    exif = b"Exif\0\0MM\0*\x00\x00\x00\x08\x00\x01" + entry + bytes(4)
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    np.testing.assert_array_equal(decode(turned), np.rot90(decode(jpeg), -1))


def test_reading_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot read"):
        read_image(tmp_path / "none.jpg")


@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 40), st.integers(2, 40), st.sampled_from([1, 3]))))
def test_halve_is_the_mean_of_two_by_two_pixels_bit_for_bit(image: Image) -> None:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    wide = image[:height, :width].astype(np.uint16)
    sums = wide[0::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 0::2] + wide[1::2, 1::2]
    np.testing.assert_array_equal(halve(image), (sums + 2) >> 2)


def test_halve_rounds_half_up() -> None:
    image = np.array([[1, 2, 9], [3, 4, 9], [9, 9, 9]], np.uint8)
    assert halve(image).tolist() == [[3]]  # (1 + 2 + 3 + 4 + 2) // 4
    assert halve(np.full((4, 4), 255, np.uint8)).tolist() == [[255, 255], [255, 255]]


@given(images)
def test_prepare_gives_the_models_shape_within_the_images_range(image: Image) -> None:
    pixels = prepare(image, FACE_48)
    assert pixels.shape == (48, 48, 1)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert image.min() <= pixels.min()
    assert pixels.max() <= image.max()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_a_uniform_image_stays_uniform(height: int, width: int, level: int) -> None:
    assert np.all(prepare(np.full((height, width), level, np.uint8), FACE_48) == level)


def test_an_image_of_the_models_size_is_untouched() -> None:
    grey = noise(48, 48, 1)
    np.testing.assert_array_equal(prepare(grey, FACE_48), grey)


def test_shrinking_by_four_is_two_exact_halvings() -> None:
    grey = noise(192, 192, 1)[:, :, 0]
    np.testing.assert_array_equal(resize(grey, (48, 48)), halve(halve(grey)))


def test_a_large_checkerboard_becomes_grey_not_noise() -> None:
    board = (np.indices((480, 480)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert prepare(board, FACE_48).std() < 1


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(ImageError, match="no pixels"):
        prepare(np.zeros((0, 5), np.uint8), FACE_48)


def test_colour_order_is_rgb_for_the_model() -> None:
    blue = np.zeros((24, 32, 3), np.uint8)
    blue[:, :, 0] = 200  # OpenCV's BGR
    assert to_colour(blue, "rgb")[0, 0].tolist() == [0, 0, 200]
    assert prepare(noise(24, 32, 1), RGB).shape == (24, 32, 3)


@pytest.mark.parametrize(("bgr", "grey"), [((255, 0, 0), 29), ((0, 255, 0), 150), ((0, 0, 255), 76)])
def test_grey_is_the_luma_of_blue_green_and_red(bgr: tuple[int, int, int], grey: int) -> None:
    assert prepare(np.full((1, 1, 3), bgr, np.uint8), InputSpec(1, 1)).item() == grey


def test_prepared_pixels_are_the_same_to_the_bit_on_every_machine() -> None:
    digest = hashlib.sha256(prepare(noise(100, 75), FACE_48).tobytes()).hexdigest()
    assert digest[:16] == "30205869ed73d5f8"


def test_grey_of_a_grey_bgr_image_is_exact() -> None:
    grey = noise(10, 10, 1)
    np.testing.assert_array_equal(to_colour(np.repeat(grey, 3, axis=2), "grey"), grey[:, :, 0])


def test_normalise_maps_black_and_white_to_the_range() -> None:
    values = normalise(np.array([0, 255], np.uint8), RGB)
    np.testing.assert_allclose(values, [-1, 1], atol=1e-6)
    assert values.dtype == np.float32


@given(
    st.integers(-50, 150),
    st.integers(-50, 150),
    st.integers(1, 120),
    st.integers(1, 120),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_crop_is_square_wherever_the_box_lies(x: int, y: int, w: int, h: int, margin: float, colour: bool) -> None:
    image = noise(90, 110, 3 if colour else 1)
    image = image if colour else image[:, :, 0]
    crop = crop_face(image, (x, y, w, h), margin)
    assert crop.shape[0] == crop.shape[1] == round(max(w, h) * (1 + 2 * margin))
    assert crop.shape[2:] == image.shape[2:]


def test_a_crop_inside_is_the_pixels_of_the_box() -> None:
    image = noise(90, 110)
    np.testing.assert_array_equal(crop_face(image, (10, 20, 30, 30)), image[20:50, 10:40])


def test_a_crop_over_the_edge_repeats_the_edge() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert crop_face(image, (-1, -1, 3, 3)).tolist() == [[0, 0, 1], [0, 0, 1], [3, 3, 4]]


@given(
    st.tuples(st.integers(-90, 120), st.integers(-90, 120), st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([(40, 60), (40, 60, 3), (1, 1)]),
)
def test_crop_replicates_the_edges_bit_for_bit(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    x, y, w, h = box
    side = max(w, h)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, shape[1] - 1)
    np.testing.assert_array_equal(crop_face(image, box), image[rows][:, columns])
