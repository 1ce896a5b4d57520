from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_emotion.convert.graph import Graph, Operator, Tensor, arena_size, read_graph, with_all_outputs
from edge_emotion.edge_runtime.errors import ModelError
from edge_emotion.edge_runtime.metadata import strip
from hypothesis import given
from hypothesis import strategies as st

from .conftest import MODELS

pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert (the schema)")

FLOAT32 = (MODELS / "brightness-float32.tflite").read_bytes()
INT8 = (MODELS / "brightness-int8.tflite").read_bytes()


def test_a_known_file_is_read_whole() -> None:
    graph = read_graph(FLOAT32)
    assert set(graph.operator_counts) == {"MEAN", "FULLY_CONNECTED"}
    assert graph.macs == 3  # one brightness, three logits
    assert graph.tensors[graph.inputs[0]].shape == (1, 48, 48, 1)
    assert graph.tensors[graph.outputs[0]].elements == 3
    assert graph.min_runtime
    assert graph == read_graph(strip(FLOAT32))


def test_int8_weights_are_the_float_ones_rounded_in_float64() -> None:
    def kernel(tflite: bytes) -> Tensor:
        graph = read_graph(tflite)
        (dense,) = (op for op in graph.operators if op.name == "FULLY_CONNECTED")
        return graph.tensors[dense.inputs[1]]

    exact, quantised = kernel(FLOAT32), kernel(INT8)
    (scale,) = quantised.scales
    np.testing.assert_allclose(exact.values().ravel(), [-8, 0, 8])
    assert scale == pytest.approx(8 / 127, rel=1e-6)
    expected = np.clip(np.rint(exact.values() / scale), -127, 127) * scale
    np.testing.assert_allclose(quantised.values(), expected, rtol=0, atol=1e-12)


def test_per_channel_values_follow_their_axis() -> None:
    raw = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
    tensor = Tensor(0, "w", "INT8", (3, 2), (1.0, 10.0), (0, 1), axis=1, data=raw.tobytes())
    np.testing.assert_array_equal(tensor.values(), [[1, 10], [3, 30], [5, 50]])


def test_int4_and_float16_sizes() -> None:
    assert Tensor(0, "w", "INT4", (3, 3)).size_bytes == 5
    assert Tensor(0, "w", "FLOAT16", (3, 3)).size_bytes == 18


def test_every_activation_can_be_an_output() -> None:
    from ai_edge_litert.interpreter import Interpreter

    residual = (MODELS / "residual-int8.tflite").read_bytes()
    graph, opened = read_graph(residual), read_graph(with_all_outputs(residual))
    assert opened.outputs == tuple(t for op in graph.operators for t in op.outputs)
    assert opened.operators == graph.operators
    assert not Interpreter(model_content=with_all_outputs(residual)).get_signature_list()  # of the outputs before


def test_weights_are_constants_and_an_output_lives_to_the_end() -> None:
    """Four activations of 64 bytes in a row, of which the second is an output too."""
    activations = tuple(Tensor(i, f"t{i}", "INT8", (64,)) for i in range(4))
    operators = tuple(Operator(i, "ADD", 1, (i, 4), (i + 1,)) for i in range(3))
    weights = Tensor(4, "weights", "INT8", (12,), data=bytes(12))
    graph = Graph(operators, (*activations, weights), (0,), (1, 3))
    assert graph.weights_bytes == 12
    assert graph.arena_bytes == 3 * 64


@pytest.mark.parametrize("content", [b"", b"not a model", b"\0\0\0\0TFL3", FLOAT32[:200], INT8[:600]])
def test_what_is_not_a_whole_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^the model is not a (whole )?TFLite file: it (is cut off|lacks)"):
        read_graph(content)
    with pytest.raises(ModelError, match=r"^models/cut\.tflite is not a "):
        read_graph(content, Path("models/cut.tflite"))


def test_the_arena_of_nothing_is_empty() -> None:
    assert arena_size([]) == 0


def test_tensors_that_never_meet_share_memory() -> None:
    assert arena_size([(1000, 0, 1), (1000, 2, 3)]) == 1000
    assert arena_size([(1000, 0, 1), (1000, 1, 3)]) == 1024 + 1000


def test_the_first_gap_that_fits_is_taken() -> None:
    # The small one lives while both large ones do not overlap it in time at the bottom.
    assert arena_size([(256, 0, 1), (128, 1, 3), (128, 2, 3)]) == 256 + 128


@given(
    st.lists(
        st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 6)).map(
            lambda item: (item[0], item[1], item[1] + item[2])
        ),
        max_size=12,
    )
)
def test_an_arena_is_never_smaller_than_what_lives_at_once(lifetimes: list[tuple[int, int, int]]) -> None:
    peak = max((sum(s for s, a, b in lifetimes if a <= step <= b) for step in range(20)), default=0)
    assert arena_size(lifetimes) >= peak
    assert arena_size(lifetimes) <= sum(-(-size // 64) * 64 for size, _, _ in lifetimes)
