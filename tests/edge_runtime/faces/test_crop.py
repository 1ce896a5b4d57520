import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.faces import Face, crop
from edge_emotion.edge_runtime.preprocess import Image, crop_face, resize
from hypothesis import given
from hypothesis import strategies as st


def turned(degrees: float) -> tuple[Image, Face]:
    """A picture of two eyes and a mouth, leaning clockwise, and its face."""
    image = np.full((400, 400), 128, np.uint8)
    for centre in ((170, 180), (230, 180)):
        cv2.circle(image, centre, 12, 0, -1)
    cv2.rectangle(image, (170, 235), (230, 250), 255, -1)
    matrix = cv2.getRotationMatrix2D((200, 200), -degrees, 1.0)
    eyes = np.array([[170, 180, 1], [230, 180, 1]]) @ matrix.T
    picture = cv2.warpAffine(image, matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8), Face((120, 120, 160, 160), keypoints=tuple((x, y) for x, y in eyes))


@pytest.mark.parametrize("degrees", [-60, -25, -12, 12, 25, 60])
def test_a_leaning_face_is_turned_upright(degrees: float) -> None:
    picture, face = turned(degrees)
    assert face.roll_deg == pytest.approx(degrees)
    upright, _ = turned(0)
    expected = resize(crop_face(upright, face.box_xywh), (48, 48)).astype(int)
    as_it_is = np.abs(resize(crop_face(picture, face.box_xywh), (48, 48)) - expected).mean()
    turned_back = np.abs(resize(crop(picture, face, 0.0), (48, 48)) - expected).mean()
    assert turned_back < 6
    assert turned_back < as_it_is / 2


def test_a_face_that_hardly_leans_is_left_alone() -> None:
    picture, face = turned(8)
    np.testing.assert_array_equal(crop(picture, face, 0.1), crop_face(picture, face.box_xywh, 0.1))


def test_without_keypoints_nothing_is_turned() -> None:
    picture, face = turned(30)
    bare = Face(face.box_xywh)
    assert bare.roll_deg == 0
    np.testing.assert_array_equal(crop(picture, bare, 0.0), crop_face(picture, face.box_xywh))


def test_the_whole_picture_is_not_widened() -> None:
    picture = np.zeros((30, 50, 3), np.uint8)
    assert crop(picture, Face((0, 0, 50, 30)), 0.5) is picture


@given(
    st.tuples(st.integers(-300, 700), st.integers(-300, 700), st.integers(1, 500), st.integers(1, 500)),
    st.floats(-180, 180),
    st.floats(0, 1),
)
def test_any_box_anywhere_gives_a_square(box: tuple[int, int, int, int], lean: float, margin: float) -> None:
    eyes = ((0.0, 0.0), (float(np.cos(np.radians(lean))), float(np.sin(np.radians(lean)))))
    out = crop(np.zeros((120, 160, 3), np.uint8), Face(box, keypoints=eyes), margin)
    assert out.shape[0] == out.shape[1] >= 1
    assert out.shape[2] == 3
