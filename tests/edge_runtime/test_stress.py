import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import DatasetError
from edge_emotion.edge_runtime.faces import Face, FaceDetector
from edge_emotion.edge_runtime.framing import CANVAS, ENLARGEMENT, scene, through_detector
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec
from edge_emotion.edge_runtime.preprocess import Image
from edge_emotion.edge_runtime.stress import STRENGTHS, degrade


def faces(n: int = 4) -> Split:
    coarse = np.random.default_rng(0).integers(0, 256, (n, 6, 6), dtype=np.uint8)
    images = np.array([cv2.resize(image, (48, 48)) for image in coarse], np.uint8).reshape(n, 48, 48, 1)
    return Split("validation", ("a", "b"), images, np.arange(n) % 2, tuple(f"{i}.png" for i in range(n)))


@pytest.mark.parametrize("kind", STRENGTHS)
def test_each_degradation_changes_images_more_with_strength_and_repeats(kind: str) -> None:
    split = faces()
    smooth = np.broadcast_to(np.arange(48, dtype=np.uint8)[:, None, None] * 5, split.images.shape).copy()
    smooth[:, 10:20, 30:40] = 255
    split = Split(split.name, split.classes, smooth, split.labels, split.files)
    damage = []
    for strength in STRENGTHS[kind]:
        changed = degrade(split, kind, strength)
        np.testing.assert_array_equal(changed.images, degrade(split, kind, strength).images)
        assert changed.images.shape == split.images.shape
        assert changed.images.dtype == np.uint8
        assert changed.files == split.files
        damage.append(np.abs(changed.images.astype(float) - split.images).mean())
    assert 0 < damage[0] < damage[1] < damage[2]


def test_no_images_stay_no_images() -> None:
    assert len(degrade(faces(0), "blur", 1.0)) == 0


class Known(FaceDetector):
    """Finds the enlarged face exactly where `scene` put it, but only in bright pictures."""

    def detect(self, image: Image) -> list[Face]:
        if image.mean() < 100:
            return []
        side = 48 * ENLARGEMENT
        start = side * (CANVAS - 1) // 2
        return [Face((start, start, side, side))]

    def close(self) -> None:
        pass


def test_a_perfect_detector_gives_the_ready_made_crops_back() -> None:
    split = faces()
    split.images[1] = 3  # too dark to be found
    framed = through_detector(split, FACE_48, Known(), 0.0)
    assert framed.asked == 4
    assert framed.found.files == framed.same.files == ("0.png", "2.png", "3.png")
    assert np.abs(framed.found.images.astype(int) - framed.same.images).mean() < 2  # enlarged and halved twice
    corner = through_detector(split, FACE_48, Known(), 0.5).found.images[0, 0, 0, 0]
    assert abs(int(corner) - split.images[0].mean()) < 1.5  # the canvas shows


def test_no_face_at_all_is_an_error() -> None:
    dark = faces()
    dark.images[:] = 0
    with pytest.raises(DatasetError, match="found no face in 4"):
        through_detector(dark, FACE_48, Known(), 0.0)


def test_a_scene_of_an_rgb_image_is_bgr() -> None:
    red = np.zeros((24, 32, 3), np.uint8)
    red[:, :, 0] = 255
    picture = scene(red, InputSpec(32, 24, "rgb"))
    assert picture.shape == (24 * ENLARGEMENT * CANVAS, 32 * ENLARGEMENT * CANVAS, 3)
    assert picture[96, 128].tolist() == [0, 0, 255]
