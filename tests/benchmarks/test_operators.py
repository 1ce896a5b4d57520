from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.benchmarks.operators import Operator, precision_of, read_network
from edge_emotion.benchmarks.profile import differences, prefixes, profile
from edge_emotion.edge_runtime.errors import RuntimeMissingError
from edge_emotion.edge_runtime.interpreter import available_backends

MODELS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize(
    ("activations", "weights", "precision"),
    [
        ({"float32"}, {"float32"}, "float32"),
        ({"float32"}, {"float16"}, "float16"),
        ({"float32"}, {"int8", "float32"}, "dynamic"),
        ({"int8"}, {"int8"}, "int8"),
        ({"int8", "float32"}, {"int8"}, "int8"),
        (set(), set(), "float32"),
    ],
)
def test_precision_from_tensors(activations: set[str], weights: set[str], precision: str) -> None:
    assert precision_of(activations, weights) == precision


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_real_file_is_listed(precision: str) -> None:
    content = (MODELS / f"brightness-{precision}.tflite").read_bytes()
    network = read_network(content, available_backends()[0])
    assert network.precision == precision
    assert network.macs == 3
    assert [operator.name for operator in network.operators][-1] == "FULLY_CONNECTED"
    assert Operator.from_json(network.operators[0].to_json()) == network.operators[0]


def test_times_of_cuts_become_times_of_operators() -> None:
    totals = np.array([[1.0, 4.0, 4.5], [2.0, 4.0, 4.5], [1.0, 9.0, 9.5]])
    assert differences(totals) == [1.0, 3.0, 0.5]


def test_every_operator_of_a_real_file_gets_a_time() -> None:
    content = (MODELS / "brightness-float32.tflite").read_bytes()
    if "litert" not in available_backends():  # tflite-runtime alone: it says so
        with pytest.raises(RuntimeMissingError):
            profile(content, available_backends()[0], 1, 3, lambda: 0)
        return
    count = len(read_network(content, "litert").operators)
    cuts = prefixes(content, "litert")
    assert sorted(cuts) == list(range(count))
    for cut in cuts.values():
        assert len(read_network(cut, "litert").operators) <= count
    clock = iter(range(0, 10**9, 1000))
    times = profile(content, "litert", 1, 3, lambda: next(clock))
    assert times == pytest.approx([1e-3] + [0.0] * (count - 1))
    assert all(math.isfinite(ms) for ms in times)


def test_a_runtime_without_schema_classes_says_what_to_use() -> None:
    with pytest.raises(RuntimeMissingError, match="--backend litert"):
        prefixes(b"", "tflite-runtime")
