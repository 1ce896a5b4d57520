from __future__ import annotations

from dataclasses import replace

from .fakes import face, result


def test_a_caption_says_when_the_label_is_uncertain() -> None:
    steady = face(3, "happy", 0.75)
    assert steady.caption == "#3 happy 75 %"
    assert replace(steady, state="uncertain").caption == "#3 happy? 75 %"


def test_probabilities_are_written_with_four_decimals_and_kept_as_they_are() -> None:
    exact = face(p=2 / 3)
    (written,) = result(0, exact).to_json()["faces"]
    assert written["confidence"] == 0.6667
    assert written["probabilities"] == {"happy": 0.6667, "neutral": 0.1667, "sad": 0.1667}
    assert exact.confidence == 2 / 3
