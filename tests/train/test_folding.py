from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.metadata import FACE_48_CENTRED
from edge_emotion.train.architectures import ResidualNetwork, SlidesNetwork
from edge_emotion.train.folding import fold

pytestmark = pytest.mark.train

NETWORK = ResidualNetwork(stem=8, stages=((8, 1), (16, 2)))


def trained(model: Any, seed: int = 0) -> Any:
    """The model with every weight drawn, so that no normalisation is the identity."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.3, 0.3)
        weight.assign(rng.uniform(low, high, weight.shape))
    return model


def test_a_folded_network_infers_the_same_without_normalisation(keras: Any) -> None:
    model = trained(NETWORK.build(FACE_48_CENTRED, 3))
    folded = fold(model)
    kinds = {type(layer).__name__ for layer in folded.layers}
    assert kinds == {"InputLayer", "Conv2D", "ReLU", "Add", "GlobalAveragePooling2D", "Dense"}
    images = np.random.default_rng(1).uniform(-1, 1, (4, 48, 48, 1)).astype(np.float32)
    before, after = model.predict_on_batch(images), folded.predict_on_batch(images)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert before.std() > 0.01


def test_folding_leaves_the_network_itself_alone(keras: Any) -> None:
    model = trained(NETWORK.build(FACE_48_CENTRED, 3))
    weights = [np.array(weight) for weight in model.get_weights()]
    fold(model).set_weights([np.zeros(weight.shape) for weight in fold(model).weights])
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_folded_network_folds_to_itself(keras: Any) -> None:
    folded = fold(trained(NETWORK.build(FACE_48_CENTRED, 3)))
    for before, after in zip(folded.get_weights(), fold(folded).get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_convolution_with_a_bias_keeps_it(keras: Any) -> None:
    inputs = keras.Input((8, 8, 1))
    model = trained(keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))))
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(fold(model).predict_on_batch(images), model.predict_on_batch(images), atol=1e-5)


def test_a_normalisation_that_cannot_be_folded_is_named(keras: Any) -> None:
    with pytest.raises(OptionError, match="'conv1_norm' does not directly follow a convolution"):
        fold(SlidesNetwork(convolutions=(4, 4, 4), dense=(8,)).build(FACE_48_CENTRED, 3))
    inputs = keras.Input((8, 8, 1))
    convolved = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    normalised = keras.layers.BatchNormalization(name="norm")(convolved)
    with pytest.raises(OptionError, match="'norm'"):  # what the convolution gives is needed elsewhere too
        fold(keras.Model(inputs, keras.layers.Add()([convolved, normalised])))
