from edge_emotion.edge_runtime.leftovers import SHOWN, summarise
from hypothesis import given
from hypothesis import strategies as st


def test_nothing_left_over_is_nothing_to_say() -> None:
    assert summarise([], []) == summarise([], ["sad/1.png"]) == ""


def test_where_nothing_is_used_folders_are_the_topmost() -> None:
    assert summarise(["train/1.png", "train/2.png", "3.png"], []) == "2 images in train/, 1 image outside class folders"


def test_a_file_without_an_extension() -> None:
    assert summarise(["README", "sad/LICENSE"], []) == "2 files without extension"


@given(st.integers(1, 2 * SHOWN))
def test_the_most_frequent_kinds_are_shown(kinds: int) -> None:
    said = summarise([f"{n}.k{kind}" for kind in range(kinds) for n in range(kind + 1)], []).split(", ")
    assert said[0].startswith(f"{kinds} .k{kinds - 1} file")
    assert len(said) == min(kinds, SHOWN) + (kinds > SHOWN)
    assert (said[-1] == "…") == (kinds > SHOWN)
