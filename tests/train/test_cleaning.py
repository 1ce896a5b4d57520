import numpy as np
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.train.cleaning import blank, clean, inspect


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (6, 6, 1), dtype=np.uint8)


def split(*members: tuple[np.ndarray, int]) -> Split:
    images = np.stack([image for image, _ in members]) if members else np.zeros((0, 6, 6, 1), np.uint8)
    labels = np.array([label for _, label in members], np.int64)
    return Split("train", ("a", "b"), images, labels, tuple(str(i) for i in range(len(members))))


FLAT = np.full((6, 6, 1), 80, np.uint8)
NEARLY_FLAT = FLAT.copy()
NEARLY_FLAT[0, 0] = 84
TRAIN = split(
    (picture(0), 0),  # 0
    (picture(1), 0),  # 1
    (picture(1), 0),  # 2 repeats 1
    (picture(1), 0),  # 3 repeats 1
    (picture(2), 0),  # 4 conflicts with 5
    (picture(2), 1),  # 5
    (picture(3), 1),  # 6 is in validation
    (FLAT, 1),  # 7
    (NEARLY_FLAT, 1),  # 8
    (picture(4), 1),  # 9
)
VALIDATION = split((picture(3), 0), (picture(9), 1))


def test_each_finding() -> None:
    found = inspect(TRAIN, VALIDATION)
    assert found.repeats.tolist() == [2, 3]
    assert found.conflicts.tolist() == [4, 5]
    assert found.leaks.tolist() == [6]
    assert found.blanks.tolist() == [7, 8]
    assert found.counts() == {"blanks": 2, "repeats": 2, "conflicts": 2, "leaks": 1}
    assert found.all.tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_cleaning_keeps_the_first_of_each_and_leaves_validation_alone() -> None:
    before = VALIDATION.images.copy()
    cleaned, _ = clean(TRAIN, VALIDATION)
    assert cleaned.files == ("0", "1", "9")
    np.testing.assert_array_equal(VALIDATION.images, before)


def test_without_validation_nothing_leaks() -> None:
    assert inspect(TRAIN).leaks.tolist() == []


def test_a_clean_split_stays_whole() -> None:
    whole = split((picture(0), 0), (picture(1), 1))
    cleaned, found = clean(whole, VALIDATION)
    assert cleaned.files == whole.files
    assert found.all.tolist() == []


def test_an_empty_split() -> None:
    assert inspect(split(), VALIDATION).all.tolist() == []
    assert blank(split()).shape == (0,)
