"""Make residual-int8.tflite beside this file (needs the train extra): `python tests/models/make_residual.py`.

The network of the `tiny` preset with random weights and norms: its answers mean nothing, but its arithmetic is that of
the models that this project trains, so it serves to compare machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from edge_emotion.edge_runtime.labels import EMOTIONS
from edge_emotion.edge_runtime.metadata import FACE_48, ModelMetadata, attach
from edge_emotion.train.presets import get_preset


def main() -> None:
    """Write residual-int8.tflite."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    network = get_preset("tiny").architecture.build(FACE_48, len(EMOTIONS))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (np.empty_like(w) for w in layer.get_weights())
            for weight, low, high in ((gamma, 0.5, 1.5), (beta, -0.3, 0.3), (mean, -0.3, 0.3), (variance, 0.5, 1.5)):
                weight[...] = rng.uniform(low, high, weight.shape)
            layer.set_weights([gamma, beta, mean, variance])
    image = keras.Input(FACE_48.shape, batch_size=1, name="image")
    faces = rng.random((32, 1, *FACE_48.shape), np.float32)

    def representative() -> Any:
        yield from ([face] for face in faces)

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, network(image)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    target = Path(__file__).with_name("residual-int8.tflite")
    target.write_bytes(attach(converter.convert(), ModelMetadata(EMOTIONS, FACE_48, name="residual", precision="int8")))
    print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
