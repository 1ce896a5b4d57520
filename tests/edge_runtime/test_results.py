from __future__ import annotations

from dataclasses import replace

from .fakes import face


def test_a_caption_says_when_the_label_is_uncertain() -> None:
    steady = face(3, "happy", 0.75)
    assert steady.caption == "#3 happy 75 %"
    assert replace(steady, state="uncertain").caption == "#3 happy? 75 %"
