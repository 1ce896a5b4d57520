"""What trains fast must compute the same as what is saved."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

COMPARE = """
import keras, numpy as np
from edge_emotion.edge_runtime.metadata import InputSpec
from edge_emotion.train.architectures import MobileNet, ResidualNetwork, SlidesNetwork
from edge_emotion.train.layers import standard_layers, training_layers

rng = np.random.default_rng(0)
for network, side in (
    (ResidualNetwork(8, ((8, 1), (16, 2))), (13, 10)),
    (SlidesNetwork((8, 8), (16,)), (14, 12)),
    (MobileNet(70, 4, frozen=3, dropout=0.0), (9, 9)),
):
    spec = InputSpec(*side)
    models = [network.build(spec, 3, "float32", kit()) for kit in (standard_layers, training_layers)]
    models[1].set_weights([w + 0.1 * rng.random(w.shape) for w in models[0].get_weights()])
    models[0].set_weights(models[1].get_weights())
    images, targets = rng.random((6, *spec.shape), np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    outputs = [keras.ops.convert_to_numpy(model(images, training=False)) for model in models]
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    for model in models:
        model.compile(keras.optimizers.SGD(0.05), keras.losses.CategoricalCrossentropy(from_logits=True))
    for step in range(3):
        losses = [float(model.train_on_batch(images, targets)) for model in models]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert [w.path for w in models[0].weights] == [w.path for w in models[1].weights]
    for variable, standard, fused in zip(models[0].weights, *(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(fused, standard, rtol=2e-3, atol=2e-4, err_msg=variable.path)
print("same", keras.backend.backend())
"""


@pytest.mark.train
@pytest.mark.parametrize("backend", ["tensorflow", *(["torch"] if find_spec("torch") else [])])
def test_three_training_steps_on_either_kind_of_layers_agree(backend: str) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (the train extra)")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["same", backend], done.stderr[-2000:]


ODD_BATCH = """
import numpy as np
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset
from edge_emotion.train.trainer import compiled

model = compiled(TrainConfig(get_preset("tiny"), ("happy", "sad")), 1)
for images in (1, 27, 47):
    model.train_on_batch(np.zeros((images, 48, 48, 1), np.float32), np.ones((images, 2), np.float32) / 2)
print("trained")
"""


@pytest.mark.train
def test_a_batch_of_an_odd_number_of_images_does_not_crash_tensorflow() -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (the train extra)")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", ODD_BATCH], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "trained"), done.stderr[-2000:]
