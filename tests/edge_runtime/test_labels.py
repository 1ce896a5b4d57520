import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.labels import (
    EMOTIONS,
    class_indices,
    common_classes,
    find_class,
    nearest,
    select_classes,
)


def test_the_seven_emotions_are_in_folder_order() -> None:
    assert tuple(sorted(EMOTIONS)) == EMOTIONS
    assert len(EMOTIONS) == 7


def test_classes_keep_the_order_asked_for() -> None:
    assert select_classes(("neutral", "angry"), EMOTIONS) == ("neutral", "angry")
    assert class_indices(("neutral", "angry"), EMOTIONS) == [4, 0]


def test_upper_and_lower_case_are_the_same_and_the_models_spelling_counts() -> None:
    assert select_classes(("happy", "ANGRY"), ("Angry", "Happy")) == ("Happy", "Angry")
    assert class_indices(("happy", "angry"), ("Angry", "Happy")) == [1, 0]
    assert select_classes(("a", "A"), ("A", "a")) == ("a", "A")
    with pytest.raises(OptionError, match="twice"):
        select_classes(("happy", "Happy"), ("Angry", "Happy"))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("happyy", "sad"), "did you mean happy"),
        (("xyzzy", "sad"), "known: angry, disgust"),
        (("sad", "sad"), "twice"),
        (("sad",), "at least two"),
        ((), "at least two"),
    ],
)
def test_wrong_classes_are_named(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        select_classes(wanted, EMOTIONS)


def test_common_classes_are_those_of_all_whatever_their_case() -> None:
    assert common_classes(("Sad", "Angry", "Happy"), ("happy", "sad"), ("SAD", "angry", "HAPPY")) == ("Sad", "Happy")
    assert common_classes(("Sad", "Angry")) == ("Sad", "Angry")
    assert common_classes(("Sad",), ("happy",)) == common_classes((), ("happy",)) == ()


def test_nearest_ignores_case() -> None:
    assert nearest("HAPPY!", EMOTIONS) == "did you mean happy?"
    assert nearest("angri", ("Angry", "Happy")) == "did you mean Angry?"  # as it is spelt


def test_nearest_names_all_that_are_as_near_and_none_where_none_is_near() -> None:
    assert nearest("edge", ("edge-m", "tiny", "Edge-S", "edge-m-float16")) == "did you mean edge-m or Edge-S?"
    assert nearest("edgem", ("edge-m", "edge-s")) == "did you mean edge-m?"
    assert nearest("xyzzy", ("edge-m", "edge-s")) == "known: edge-m, edge-s"
    assert nearest("edge", ()) == "known: "


def test_a_class_is_found_whatever_its_case() -> None:
    assert find_class("angry", ("Angry", "Happy")) == "Angry"
    assert find_class("A", ("a", "A")) == "A"
    with pytest.raises(OptionError, match=r"unknown class 'angri': did you mean Angry\?"):
        find_class("angri", ("Angry", "Happy"))
