"""What the charts draw, read back from their SVG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from edge_emotion.benchmarks.charts import confusion, distributions, scatter, stages
from edge_emotion.benchmarks.report import Row
from edge_emotion.edge_runtime.metrics import score

MakeRow = Callable[..., Row]
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(svg: str, name: str, *attributes: str, **wanted: str) -> list[tuple[float, ...]]:
    """These attributes, as numbers, of each element of the name that has the wanted ones."""
    keys = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
    every = (each for each in ElementTree.fromstring(svg).iter() if each.tag.removeprefix(NAMESPACE) == name)
    found = [each.attrib for each in every if keys.items() <= each.attrib.items()]
    return [tuple(float(each[attribute]) for attribute in attributes) for each in found]


def test_the_confusion_matrix_has_the_true_class_in_rows(make_row: MakeRow) -> None:
    truth, guess = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1])
    row = make_row(accuracy=1.0)
    assert row.accuracy is not None
    block = replace(row.accuracy, metrics=score(np.eye(2)[guess], truth, ("a", "b")))
    cells = sorted(drawn(confusion(replace(row, accuracy=block)), "rect", "y", "x", "opacity", class_="heat"))
    assert [share for *_, share in cells] == [0.75, 0.25, 0.0, 1.0]


def test_the_median_is_marked_by_a_line_and_the_95th_percentile_by_dashes(make_row: MakeRow) -> None:
    svg = distributions([make_row()])
    ((median,),) = drawn(svg, "line", "x1", class_="mark", stroke_dasharray="none")
    ((late,),) = drawn(svg, "line", "x1", class_="mark", stroke_dasharray="3 2")
    assert median < late


def test_an_accuracy_lies_within_its_interval(make_row: MakeRow) -> None:
    svg = scatter([make_row(accuracy=0.7)])
    ((x, y),) = drawn(svg, "circle", "cx", "cy")
    ((x1, x2, low, high),) = drawn(svg, "line", "x1", "x2", "y1", "y2", opacity="0.45")
    assert x1 == x2 == x
    assert low - y == pytest.approx(y - high, rel=0.1)  # Wilson's interval is almost even there
    assert low - high > 100  # it fills its scale but for some air


def test_each_stage_begins_where_the_one_before_it_ends(make_row: MakeRow) -> None:
    times = {"detect": 3.0, "classify": 1.0, "total": 4.0}
    svg = stages([make_row(stages_ms=times, footage={"frames": 1})])
    (detect, wide), (classify, narrow) = drawn(svg, "rect", "x", "width", height="16")
    assert classify == pytest.approx(detect + wide, abs=0.1)
    assert wide == pytest.approx(3 * narrow, rel=0.01)
