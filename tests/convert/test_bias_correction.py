from __future__ import annotations

import numpy as np
from edge_emotion.convert.bias_correction import LEVELS, mean_shift, round_weights
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

WEIGHT = st.floats(-8, 8, width=32)
INPUT = st.floats(0, 6, width=32)


@given(arrays(np.float32, (3, 5), elements=WEIGHT), st.sampled_from([0, None]))
def test_rounding_moves_a_weight_by_half_a_step_at_most(weights: NDArray[np.float32], axis: int | None) -> None:
    largest = np.abs(weights).max(axis=None if axis is None else 1, keepdims=True).astype(np.float64)
    rounded = round_weights(weights, axis)
    assert (np.abs(rounded - weights) <= largest / LEVELS * 0.5000001).all()
    np.testing.assert_allclose(np.abs(rounded).max(axis=None if axis is None else 1, keepdims=True), largest, rtol=1e-9)


@given(arrays(np.float32, (3, 5), elements=WEIGHT), arrays(np.float32, (7, 5), elements=INPUT))
def test_a_corrected_dense_layer_keeps_its_mean(weights: NDArray[np.float32], inputs: NDArray[np.float32]) -> None:
    exact = inputs.astype(np.float64) @ weights.T.astype(np.float64)
    rounded = inputs.astype(np.float64) @ round_weights(weights, None).T
    corrected = rounded - mean_shift("FULLY_CONNECTED", weights, inputs.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(corrected.mean(axis=0), exact.mean(axis=0), atol=1e-9)


@given(arrays(np.float32, (2, 3, 3, 4), elements=WEIGHT), arrays(np.float64, (4,), elements=st.floats(0, 6)))
def test_a_corrected_convolution_of_even_images_is_exact(
    weights: NDArray[np.float32], colour: NDArray[np.float64]
) -> None:
    patch = np.broadcast_to(colour, (3, 3, 4))
    exact = np.einsum("ohwi,hwi->o", weights.astype(np.float64), patch)
    rounded = np.einsum("ohwi,hwi->o", round_weights(weights, 0), patch)
    np.testing.assert_allclose(rounded - mean_shift("CONV_2D", weights, colour), exact, atol=1e-9)


@given(
    st.sampled_from([(1, 1), (2, 1), (2, 3), (4, 2)]),
    st.sampled_from([1, 2, 3]),
    st.data(),
)
def test_so_is_one_in_groups_each_of_which_sees_its_own_inputs(
    outputs: tuple[int, int], side: int, data: st.DataObject
) -> None:
    groups, each = outputs
    weights = data.draw(arrays(np.float32, (groups * each, side, side, 4), elements=WEIGHT))
    colour = data.draw(arrays(np.float64, (groups * 4,), elements=st.floats(0, 6)))
    own = colour.reshape(groups, 4).repeat(each, axis=0)  # output → the inputs of its group
    exact = np.einsum("ohwi,oi->o", weights.astype(np.float64), own)
    rounded = np.einsum("ohwi,oi->o", round_weights(weights, 0), own)
    np.testing.assert_allclose(rounded - mean_shift("CONV_2D", weights, colour), exact, atol=1e-9)


@given(arrays(np.float32, (2, 12), elements=WEIGHT), arrays(np.float64, (3,), elements=st.floats(0, 6)))
def test_so_is_a_dense_layer_of_four_places_of_three_channels(
    weights: NDArray[np.float32], colour: NDArray[np.float64]
) -> None:
    row = np.tile(colour, 4)
    corrected = round_weights(weights, None) @ row - mean_shift("FULLY_CONNECTED", weights, colour)
    np.testing.assert_allclose(corrected, weights.astype(np.float64) @ row, atol=1e-9)


@given(arrays(np.float32, (1, 3, 3, 6), elements=WEIGHT), arrays(np.float64, (3,), elements=st.floats(0, 6)))
def test_so_is_a_depthwise_one_with_two_outputs_an_input(
    weights: NDArray[np.float32], colour: NDArray[np.float64]
) -> None:
    patch = np.broadcast_to(colour.repeat(2), (3, 3, 6))  # outputs 0 and 1 are of input 0, and so on
    exact = (weights[0].astype(np.float64) * patch).sum(axis=(0, 1))
    rounded = (round_weights(weights, 3)[0] * patch).sum(axis=(0, 1))
    np.testing.assert_allclose(rounded - mean_shift("DEPTHWISE_CONV_2D", weights, colour), exact, atol=1e-9)


def test_weights_of_zero_stay_zero() -> None:
    np.testing.assert_array_equal(round_weights(np.zeros((2, 3), np.float32), 0), np.zeros((2, 3)))
