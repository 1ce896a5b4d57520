"""Make the known-answer models beside this file (needs the train extra): `python tests/models/make.py`.

Each computes three logits of an image's mean brightness m (0 black, 1 white): dark 4·(0.35 − m)·2, grey 0.6, bright
4·(m − 0.65)·2. So a black image is `dark`, a mid-grey one `grey`, a white one `bright`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from edge_emotion.edge_runtime.metadata import FACE_48, ModelMetadata, attach

LABELS = ("dark", "grey", "bright")
KERNEL = np.array([[-8.0, 0.0, 8.0]], np.float32)
BIAS = np.array([2.8, 0.6, -5.2], np.float32)


def main() -> None:
    """Write brightness-float32.tflite and brightness-int8.tflite."""
    import tensorflow as tf

    def brightness(image: Any) -> Any:
        return tf.matmul(tf.reduce_mean(image, axis=[1, 2]), KERNEL) + BIAS

    signature = tf.TensorSpec([1, 48, 48, 1], tf.float32, name="image")
    function = tf.function(brightness).get_concrete_function(signature)
    for precision in ("float32", "int8"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        if precision == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [np.full((1, 48, 48, 1), level, np.float32)] for level in np.linspace(0, 1, 32)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        metadata = ModelMetadata(LABELS, FACE_48, name="brightness", precision=precision)
        target = Path(__file__).with_name(f"brightness-{precision}.tflite")
        target.write_bytes(attach(converter.convert(), metadata))
        print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
