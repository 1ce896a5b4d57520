import numpy as np
import pytest
from edge_emotion.edge_runtime.annotate import annotate, in_ascii
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "drawn"),
    [("happy 97 %", "happy 97 %"), ("Wütend? 5 %", "Wutend? 5 %"), ("fröhlich ß", "frohlich *"), ("幸福", "**")],
)
def test_a_caption_loses_its_accents_and_what_the_font_has_not_is_a_star(text: str, drawn: str) -> None:
    assert in_ascii(text) == drawn


@given(st.text())
def test_any_caption_can_be_drawn(text: str) -> None:
    assert in_ascii(text).isascii()
    grey = np.zeros((40, 60), np.uint8)
    assert annotate(grey, [((5, 5, 20, 20), text)]).shape == (40, 60, 3)
    assert not grey.any()
