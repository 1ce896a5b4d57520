from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from edge_emotion.convert.flips import COLUMNS, SHOWN, contact_sheet, find_flips
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import DatasetError

from .conftest import shades
from .test_contract import answers


@pytest.fixture
def six() -> Split:
    return shades("validation", 2, 0)  # dark dark grey grey bright bright


def test_flips_are_named_counted_and_ordered_by_harm(six: Split) -> None:
    before = answers(six, [0, 0, 1, 0, 2, 0], 0.9)
    after = answers(six, [0, 1, 1, 1, 2, 1], [0.6, 0.4, 0.6, 0.8, 0.6, 0.6])
    report = find_flips(before, after)
    assert [flip.index for flip in report.flips] == [3, 5, 1]
    assert [flip.outcome for flip in report.flips] == ["gained", "neutral", "lost"]
    assert report.outcomes == {"lost": 1, "gained": 1, "neutral": 1}
    assert report.pairs == {"dark → grey": 3}
    assert report.confusion_difference == ((-1, 1, 0), (-1, 1, 0), (-1, 1, 0))
    flip = report.flips[0]
    assert flip.file == six.files[3]
    assert flip.harm == pytest.approx(0.9 - 0.1)
    assert json.loads(json.dumps(report.to_json()))["flips"][0]["after"] == "grey"


def test_no_flips_no_sheet(six: Split) -> None:
    same = answers(six, [0] * 6)
    report = find_flips(same, same)
    assert report.flips == ()
    assert report.to_json()["pairs"] == {}
    with pytest.raises(DatasetError, match="no label changed"):
        contact_sheet(report, six.images)


def test_the_sheet_shows_the_faces(six: Split) -> None:
    report = find_flips(answers(six, [0] * 6), answers(six, [0, 0, 0, 0, 0, 1]))
    sheet = cv2.imdecode(np.frombuffer(contact_sheet(report, six.images), np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    face = cv2.resize(six.images[5], (128, 128), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(sheet[:128, 4:132, 0], face)


def test_the_sheet_shows_rgb_and_at_most_the_worst() -> None:
    split = shades("validation", 20, 0)
    images = np.repeat(split.images, 3, axis=3)
    images[..., 0] = 255  # red
    report = find_flips(answers(split, [0] * 60), answers(split, [1] * 60))
    sheet = cv2.imdecode(np.frombuffer(contact_sheet(report, images), np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet[64, 64, 2] == 255  # OpenCV's last channel is red
    assert sheet.shape[0] // (128 + 50) == SHOWN // COLUMNS
