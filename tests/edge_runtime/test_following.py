import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.faces import Face
from edge_emotion.edge_runtime.following import Follower
from edge_emotion.edge_runtime.preprocess import Image


def texture(seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)


def moved(image: Image, dx: float, dy: float, zoom: float = 1.0) -> Image:
    """Zoomed about the middle of the face at (320, 240), then shifted."""
    matrix = np.array([[zoom, 0, 320 * (1 - zoom) + dx], [0, zoom, 240 * (1 - zoom) + dy]], np.float64)
    return np.asarray(cv2.warpAffine(image, matrix, (640, 480), borderMode=cv2.BORDER_REFLECT), np.uint8)


FACE = Face((260, 180, 120, 120), keypoints=((300.0, 220.0), (340.0, 220.0)))


@pytest.mark.parametrize(("dx", "dy", "zoom"), [(0, 0, 1), (8, -5, 1), (-12, 6, 1), (4, 2, 1.06), (0, 0, 0.94)])
def test_a_face_moves_and_grows_with_the_picture(dx: float, dy: float, zoom: float) -> None:
    follower = Follower()
    follower.see(texture())
    (face,) = follower.follow(moved(texture(), dx, dy, zoom), [FACE])
    side = 120 * zoom
    expected = (320 + dx - side / 2, 240 + dy - side / 2, side, side)
    np.testing.assert_allclose(face.box_xywh, expected, atol=3)
    np.testing.assert_allclose(face.keypoints[0], (320 - 20 * zoom + dx, 240 - 20 * zoom + dy), atol=3)


def test_a_drift_of_many_frames_stays_small() -> None:
    follower = Follower()
    follower.see(texture())
    faces = [FACE]
    for step in range(1, 11):
        faces = follower.follow(moved(texture(), 3 * step, 2 * step), faces)
    np.testing.assert_allclose(faces[0].box_xywh, (290, 200, 120, 120), atol=6)


def smooth(seed: int) -> Image:
    """A picture of soft shapes, in which anything can be traced to somewhere."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640), 120, np.float32)
    for side in (8, 16, 32, 64, 128):
        coarse = random.normal(0, 40, (480 // side + 1, 640 // side + 1)).astype(np.float32)
        picture += cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def test_a_face_that_another_picture_covers_is_lost() -> None:
    follower = Follower()
    for seed in range(20):
        follower.see(smooth(seed))
        assert follower.follow(smooth(100 + seed), [Face((140, 130, 360, 300))]) == []


def test_a_face_is_followed_through_a_noisy_picture() -> None:
    random = np.random.default_rng(0)
    follower = Follower()
    faces = [FACE]
    for step in range(10):
        picture = moved(smooth(0), 5 * step, 0) + random.normal(0, 8, (480, 640))
        if step == 0:
            follower.see(np.asarray(np.clip(picture, 0, 255), np.uint8))
        else:
            faces = follower.follow(np.asarray(np.clip(picture, 0, 255), np.uint8), faces)
    np.testing.assert_allclose(faces[0].box_xywh, (305, 180, 120, 120), atol=8)


def test_nothing_seen_before_follows_nothing() -> None:
    follower = Follower()
    assert not follower.ready
    assert follower.follow(texture(), [FACE]) == []
    assert follower.ready
    follower.reset()
    assert not follower.ready


def test_no_faces_and_another_picture_size_give_none() -> None:
    follower = Follower()
    follower.see(texture())
    assert follower.follow(texture(), []) == []
    assert follower.follow(texture()[:200, :200], [FACE]) == []


def test_a_face_that_left_the_picture_is_lost() -> None:
    follower = Follower()
    follower.see(texture())
    assert follower.follow(texture(), [Face((2000, 2000, 100, 100))]) == []
