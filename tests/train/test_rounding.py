from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.metadata import FACE_48_CENTRED, ModelMetadata
from edge_emotion.edge_runtime.preprocess import normalise
from edge_emotion.train.architectures import ResidualNetwork
from edge_emotion.train.folding import fold
from edge_emotion.train.keras_model import save
from edge_emotion.train.rounding import rounded_activations, rounded_weights, with_rounding

pytestmark = pytest.mark.train

NETWORK = ResidualNetwork(stem=8, stages=((8, 1), (16, 2)))


@pytest.fixture
def folded(keras: Any) -> Any:
    """A folded network whose channels differ in scale, as trained ones do."""
    keras.utils.set_random_seed(0)
    model = NETWORK.build(FACE_48_CENTRED, 3)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return fold(model)


def steps(values: Any, step: float) -> Any:
    """How far each value is from its grid, in steps."""
    return np.abs(values / step - np.round(values / step))


def test_a_kernel_has_127_steps_each_way_by_channel_or_whole(keras: Any) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 2)).astype(np.float32) * (1, 100)
    by_channel = np.asarray(rounded_weights(kernel, per_channel=True))
    for channel in range(2):
        largest = np.abs(kernel[..., channel]).max()
        assert steps(by_channel[..., channel], largest / 127).max() < 1e-3
        assert np.abs(by_channel - kernel)[..., channel].max() <= largest / 254 * 1.001
    whole = np.asarray(rounded_weights(kernel, per_channel=False))
    assert steps(whole, np.abs(kernel).max() / 127).max() < 1e-3
    assert not np.allclose(whole[..., 0], by_channel[..., 0], atol=1e-2)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.0, 3.0), (2.0, 5.0), (-4.0, -1.0)])
def test_an_activation_has_255_steps_over_its_range_with_zero(keras: Any, low: float, high: float) -> None:
    values = np.linspace(low, high, 1000, dtype=np.float32)
    step = (max(high, 0) - min(low, 0)) / 255
    rounded = np.asarray(rounded_activations(values))
    assert steps(rounded, step).max() < 1e-3
    assert np.abs(rounded - values).max() == pytest.approx(step / 2, rel=0.01)


def test_zeros_stay_zeros(keras: Any) -> None:
    assert not np.asarray(rounded_activations(np.zeros((2, 3), np.float32))).any()
    assert not np.asarray(rounded_weights(np.zeros((2, 3), np.float32), per_channel=True)).any()


def test_gradients_pass_as_if_nothing_were_rounded(keras: Any) -> None:
    import tensorflow as tf

    values = tf.Variable([[-1.03, 0.2], [0.7, 2.9]])
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(rounded_activations(values) * [1.0, 2.0] + rounded_weights(values, per_channel=True))
    np.testing.assert_allclose(tape.gradient(out, values), [[2, 3], [2, 3]])


def test_the_variables_are_those_of_the_plain_network(folded: Any) -> None:
    rounding = with_rounding(folded)
    assert [w.path for w in rounding.weights] == [w.path for w in folded.weights]
    assert [layer.name for layer in rounding.layers] == [layer.name for layer in folded.layers]
    for mine, theirs in zip(rounding.get_weights(), folded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_an_int8_file_stores_is_rounded_and_no_more(folded: Any, keras: Any) -> None:
    rounding = with_rounding(folded)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 48, 48, 1)).astype(np.float32)
    names = ("stem", "stem_relu", "stage1_block1_shortcut", "stage1_block1_add", "stage1_block1_relu2", "pool")
    outputs = keras.Model(rounding.input, [rounding.get_layer(name).output for name in (*names, "logits")])(images)
    levels = dict(zip((*names, "logits"), (len(np.unique(output)) for output in outputs), strict=True))
    assert max(levels[n] for n in ("stem_relu", "stage1_block1_shortcut", "stage1_block1_relu2", "pool")) <= 256
    assert min(levels["stem"], levels["stage1_block1_add"]) > 1000  # the ReLU after them is part of them


def stands_in_the_file(kernel: Any, stored: Any) -> bool:
    """Whether `stored` is the kernel with output channels first, or a share of it for each of the places it pools."""
    channels = np.moveaxis(np.asarray(kernel), -1, 0).reshape(kernel.shape[-1], -1)
    places, rest = divmod(stored.size, channels.size)
    return rest == 0 and np.allclose(np.tile(channels, (1, places)).ravel(), stored * places, atol=1e-6)


def test_it_rounds_as_the_int8_file_does(folded: Any, tmp_path: Path) -> None:
    from edge_emotion.convert.graph import read_graph
    from edge_emotion.convert.lowering import Job, lower
    from edge_emotion.convert.recipes import INT8

    pixels = np.random.default_rng(1).integers(0, 256, (64, 48, 48, 1), dtype=np.uint8)
    pixels[:32] //= 4
    metadata = ModelMetadata(("a", "b", "c"), FACE_48_CENTRED)
    save(folded, tmp_path / "folded.keras", metadata)
    (flatbuffer,) = lower(Job(tmp_path / "folded.keras", (INT8,), pixels, pixels)).files
    rounding = with_rounding(folded)
    graph = read_graph(flatbuffer)
    stored = [tensor.values().ravel() for tensor in graph.tensors if tensor.data is not None and tensor.dtype == "INT8"]
    kernels = [layer.kernel for layer in rounding.layers if hasattr(layer, "kernel")]
    assert len(stored) == len(kernels)
    for kernel in kernels:
        assert any(stands_in_the_file(kernel, values) for values in stored)
    with EmotionClassifier(flatbuffer, metadata=metadata) as classifier:
        int8 = classifier.logits(pixels)
    values = normalise(pixels, FACE_48_CENTRED)
    plain = folded.predict_on_batch(values)
    noise = np.square(rounding.predict_on_batch(values) - plain).mean() / np.square(int8 - plain).mean()
    assert 1 / 3 < noise < 3  # not the same noise: the ranges are those of what is rounded already
