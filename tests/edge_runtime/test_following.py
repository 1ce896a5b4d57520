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
    follower.see(texture(), [FACE])
    (face,) = follower.follow(moved(texture(), dx, dy, zoom))
    side = 120 * zoom
    expected = (320 + dx - side / 2, 240 + dy - side / 2, side, side)
    np.testing.assert_allclose(face.box_xywh, expected, atol=3)
    np.testing.assert_allclose(face.keypoints[0], (320 - 20 * zoom + dx, 240 - 20 * zoom + dy), atol=3)


def test_a_drift_of_many_frames_stays_small() -> None:
    follower = Follower()
    follower.see(texture(), [FACE])
    for step in range(1, 11):
        faces = follower.follow(moved(texture(), 3 * step, 2 * step))
    np.testing.assert_allclose(faces[0].box_xywh, (290, 200, 120, 120), atol=6)


@pytest.mark.parametrize(
    ("dx", "dy", "zoom"), [(0.25, 0, 1), (0.6, 0, 1), (-0.25, 0.6, 1), (0, 0, 1.003), (0, 0, 0.997), (0.25, 0, 1.003)]
)
def test_motion_of_less_than_a_pixel_a_frame_adds_up(dx: float, dy: float, zoom: float) -> None:
    face = Face((246, 166, 148, 148), 0.9, ((300.0, 220.0), (340.0, 220.0)))
    follower = Follower()
    follower.see(texture(), [face])
    for step in range(1, 31):
        (followed,) = follower.follow(moved(texture(), dx * step, dy * step, zoom**step))
    side = 148 * zoom**30
    x, y = 320 + 30 * dx, 240 + 30 * dy
    np.testing.assert_allclose(followed.box_xywh, (x - side / 2, y - side / 2, side, side), atol=1.5)
    assert all(isinstance(value, int) for value in followed.box_xywh)
    assert followed.score == 0.9
    eyes = [(x - 20 * zoom**30, y - 20 * zoom**30), (x + 20 * zoom**30, y - 20 * zoom**30)]
    np.testing.assert_allclose(followed.keypoints, eyes, atol=1.5)


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
        follower.see(smooth(seed), [Face((140, 130, 360, 300))])
        assert follower.follow(smooth(100 + seed)) == []


def test_a_face_that_is_lost_stays_lost_and_the_others_are_followed() -> None:
    covered = smooth(0)
    covered[:, :320] = smooth(100)[:, :320]
    follower = Follower()
    follower.see(smooth(0), [Face((60, 140, 200, 200)), Face((400, 140, 200, 200))])
    for picture in (covered, smooth(0)):
        assert [face.box_xywh for face in follower.follow(picture)] == [(400, 140, 200, 200)]


def test_a_face_is_followed_through_a_noisy_picture() -> None:
    random = np.random.default_rng(0)
    follower = Follower()
    for step in range(10):
        picture = moved(smooth(0), 5 * step, 0) + random.normal(0, 8, (480, 640))
        if step == 0:
            follower.see(np.asarray(np.clip(picture, 0, 255), np.uint8), [FACE])
        else:
            faces = follower.follow(np.asarray(np.clip(picture, 0, 255), np.uint8))
    np.testing.assert_allclose(faces[0].box_xywh, (305, 180, 120, 120), atol=8)


def test_nothing_seen_before_follows_nothing() -> None:
    assert Follower().follow(texture()) == []


def test_no_faces_and_another_picture_size_give_none() -> None:
    follower = Follower()
    follower.see(texture(), [])
    assert follower.follow(texture()) == []
    follower.see(texture(), [FACE])
    assert follower.follow(texture()[:200, :200]) == []
    assert follower.follow(texture()[:200, :200]) == []


def test_what_is_seen_takes_the_place_of_what_was() -> None:
    follower = Follower()
    follower.see(texture(), [FACE])
    follower.see(texture(1), [Face((100, 100, 80, 80))])
    assert [face.box_xywh for face in follower.follow(texture(1))] == [(100, 100, 80, 80)]


def test_a_face_that_left_the_picture_is_lost() -> None:
    follower = Follower()
    follower.see(texture(), [Face((2000, 2000, 100, 100))])
    assert follower.follow(texture()) == []


def test_a_face_that_shrinks_to_nothing_keeps_a_pixel() -> None:
    follower = Follower()
    follower.see(texture(), [Face((319, 239, 2, 2))])
    for step in range(1, 21):
        for face in follower.follow(moved(texture(), 0, 0, 0.9**step)):
            assert min(face.box_xywh[2:]) >= 1
