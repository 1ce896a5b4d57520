import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.faces import blazeface, open_detector
from edge_emotion.edge_runtime.faces.blazeface import FULL_RANGE, SHORT_RANGE, BlazeFace, anchors, decode, merge
from edge_emotion.edge_runtime.preprocess import read_image
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

FLAT = np.zeros((1, 16), np.float32)
ASTRONAUT = Path(__file__).parents[3] / "docs" / "astronaut.jpg"


def test_the_anchors_are_the_published_ones() -> None:
    grid = anchors(SHORT_RANGE)
    assert grid.shape == (896, 2)
    np.testing.assert_allclose(grid[:4], [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32], [3 / 32, 1 / 32]])
    np.testing.assert_allclose(grid[511], [31 / 32, 31 / 32])
    np.testing.assert_allclose(grid[512:518], np.full((6, 2), 1 / 16))
    np.testing.assert_allclose(grid[-1], [15 / 16, 15 / 16])
    grid = anchors(FULL_RANGE)
    assert grid.shape == (2304, 2)
    np.testing.assert_allclose(grid[[0, 1, 48]], [[1 / 96, 1 / 96], [3 / 96, 1 / 96], [1 / 96, 3 / 96]])


def test_decoding_a_known_answer() -> None:
    raw = FLAT.copy()
    raw[0, :8] = [12.8, -6.4, 64, 32, 1.28, 2.56, -1.28, 0]
    points = decode(raw, np.array([[0.5, 0.25]]), 128)[0]
    np.testing.assert_allclose(points[0], [0.6 - 0.25, 0.2 - 0.125])  # left top
    np.testing.assert_allclose(points[1], [0.6 + 0.25, 0.2 + 0.125])  # right bottom
    np.testing.assert_allclose(points[2], [0.51, 0.27])  # right eye
    np.testing.assert_allclose(points[3], [0.49, 0.25])
    np.testing.assert_allclose(points[7], [0.5, 0.25])
    np.testing.assert_allclose(decode(raw, np.array([[0.5, 0.25]]), 256)[0, 2], [0.505, 0.26])


def square(x: float, y: float, side: float) -> NDArray[np.float64]:
    points = np.full((8, 2), (x, y), np.float64)
    points[0] -= side / 2
    points[1] += side / 2
    return points


def test_overlapping_detections_become_their_weighted_mean_under_the_best_score() -> None:
    points = np.stack([square(0.50, 0.5, 0.2), square(0.52, 0.5, 0.2), square(0.9, 0.9, 0.1)])
    (first, score), (second, other) = merge(points, np.array([0.9, 0.6, 0.7]), 0.3)
    np.testing.assert_allclose(first[2], [(0.50 * 0.9 + 0.52 * 0.6) / 1.5, 0.5])
    assert (score, other) == (0.9, 0.7)
    np.testing.assert_allclose(second, points[2])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.5, 1)), max_size=20))
def test_each_detection_joins_exactly_one_face_best_first(found: list[tuple[float, float, float, float]]) -> None:
    points = np.array([square(x, y, side) for x, y, side, _ in found]).reshape(-1, 8, 2)
    scores = np.array([score for *_, score in found])
    merged = merge(points, scores, 0.3)
    assert (len(merged) > 0) == (len(found) > 0)
    assert len(merged) <= len(found)
    assert [score for _, score in merged] == sorted((score for _, score in merged), reverse=True)


class Runtime:
    """Answers with one face at a given anchor, wherever it looks; remembers its input."""

    def __init__(self, logit: float = 5.0, shapes: tuple[tuple[int, ...], ...] = ((1, 896, 16), (1, 896, 1))) -> None:
        self.shapes = shapes
        self.boxes = np.zeros((1, 896, 16), np.float32)
        self.scores = np.full((1, 896, 1), -1000.0, np.float32)
        self.scores[0, 600] = logit
        self.boxes[0, 600, 2:4] = 32  # a quarter of the side
        self.input: NDArray[np.float32] = np.zeros(0, np.float32)

    def get_input_details(self) -> list[dict[str, object]]:
        return [{"index": 9}]

    def get_output_details(self) -> list[dict[str, object]]:
        return [{"shape": shape, "index": index} for index, shape in enumerate(self.shapes)]

    def set_tensor(self, index: int, value: NDArray[np.float32]) -> None:
        self.input = value.copy()

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> NDArray[np.float32]:
        return (self.boxes, self.scores)[index]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runtime:
    fake = Runtime()
    monkeypatch.setattr(blazeface, "open_runtime", lambda *_: ("fake", fake))
    return fake


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "blazeface.tflite"
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize("size_wh", [(128, 128), (512, 512), (596, 336), (300, 700)])
def test_boxes_come_back_in_the_pictures_own_pixels(runtime: Runtime, model: Path, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    with BlazeFace(model) as detector:
        (face,) = detector.detect(np.zeros((height, width, 3), np.uint8))
    longer = max(size_wh)
    centre = anchors(SHORT_RANGE)[600] * longer - [(longer - width) / 2, (longer - height) / 2]
    x, y, w, h = face.box_xywh
    assert w == h == pytest.approx(longer / 4 * blazeface.FRAME_SCALE, abs=1)
    assert x + w / 2 == pytest.approx(centre[0], abs=longer / 128 + 1)
    assert y + h / 2 == pytest.approx(centre[1] - longer / 4 * blazeface.FRAME_RISE, abs=longer / 128 + 1)
    assert len(face.keypoints) == 6
    assert face.keypoints[0] == pytest.approx(tuple(centre), abs=longer / 128 + 1)
    assert face.score == pytest.approx(1 / (1 + np.exp(-5)))


def test_the_full_range_is_told_by_its_outputs(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    fake = Runtime(shapes=((1, 2304, 1), (1, 2304, 16)))  # in another order, too
    fake.boxes, fake.scores = np.full((1, 2304, 1), -1000.0, np.float32), np.zeros((1, 2304, 16), np.float32)
    fake.boxes[0, 48 * 24 + 12] = 5.0
    fake.scores[0, 48 * 24 + 12, 2:4] = 48
    monkeypatch.setattr(blazeface, "open_runtime", lambda *_: ("fake", fake))
    (face,) = BlazeFace(model).detect(np.zeros((480, 480), np.uint8))
    assert fake.input.shape == (1, 192, 192, 3)
    assert face.box_xywh[2] == round(120 * blazeface.FRAME_SCALE)
    assert face.keypoints[0] == pytest.approx((480 * 12.5 / 48, 480 * 24.5 / 48))


def test_the_bundled_network_finds_a_real_face_and_its_eyes() -> None:
    picture = read_image(ASTRONAUT)
    with open_detector() as detector:
        (face,) = detector.detect(picture)
        x, y, w, h = face.box_xywh
        assert (x + w / 2, y + h / 2, w) == pytest.approx((224, 121, 99), abs=6)
        right, left = face.keypoints[:2]
        assert right == pytest.approx((205, 101), abs=6)
        assert left == pytest.approx((247, 104), abs=6)
        assert detector.detect(np.full_like(picture, 128)) == []
        assert detector.detect(picture[200:]) == []


def test_the_picture_is_letterboxed_in_rgb_from_minus_1_to_1(runtime: Runtime, model: Path) -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[:] = (255, 128, 0)  # B, G, R
    BlazeFace(model).detect(image)
    assert list(runtime.input.shape) == [1, 128, 128, 3]
    np.testing.assert_allclose(runtime.input[0, 64, 64], [-1, 128 / 127.5 - 1, 1], atol=1e-6)
    assert (runtime.input[0, :32] == -1).all()
    assert (runtime.input[0, 96:] == -1).all()
    grey = np.full((64, 128), 255, np.uint8)
    BlazeFace(model).detect(grey)
    np.testing.assert_allclose(runtime.input[0, 40, 40], [1, 1, 1])


def test_threads_take_turns(runtime: Runtime, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Lock()

    def invoke() -> None:
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        busy.release()

    monkeypatch.setattr(runtime, "invoke", invoke)
    detector = BlazeFace(model)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.detect, [np.zeros((128, 128, 3), np.uint8)] * 12))
    assert all(faces == found[0] for faces in found)


def test_a_closed_one_says_so(runtime: Runtime, model: Path) -> None:
    detector = BlazeFace(model)
    detector.close()
    with pytest.raises(ModelError, match="the face detector is closed"):
        detector.detect(np.zeros((128, 128, 3), np.uint8))


@pytest.mark.parametrize(("logit", "faces"), [(-0.001, 0), (0.001, 1), (1e30, 1), (-np.inf, 0)])
def test_the_score_threshold_is_one_half(runtime: Runtime, model: Path, logit: float, faces: int) -> None:
    runtime.scores[0, 600] = logit
    found = BlazeFace(model).detect(np.zeros((128, 128, 3), np.uint8))
    assert len(found) == faces
    assert all(face.score <= 1 for face in found)


def test_the_tiniest_pictures_work(runtime: Runtime, model: Path) -> None:
    for shape in ((1, 1, 3), (1, 300, 3), (300, 1)):
        BlazeFace(model).detect(np.zeros(shape, np.uint8))


def test_another_network_or_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(blazeface, "open_runtime", lambda *_: ("fake", Runtime(shapes=((1, 7),))))
    with pytest.raises(ModelError, match=r"is not BlazeFace: its outputs are \[\(1, 7\)\]"):
        BlazeFace(model)
    with pytest.raises(ModelError, match="cannot read"):
        BlazeFace(tmp_path / "none.tflite")
