import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import ModelError, OptionError
from edge_emotion.edge_runtime.preprocess import normalise
from edge_emotion.train import face_weights
from edge_emotion.train.architectures import MOBILENET_BLOCKS
from edge_emotion.train.presets import get_preset

pytestmark = pytest.mark.train


def published(folder: Path, changes: Mapping[str, tuple[int, ...]] | None = None, stem: int = 2) -> Path:
    """A small face network as TensorFlow.js keeps one: half floats in two files; changes: other shapes by name."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/convolution/merged_input": (3, 3, 3, stem),
        "conv1_bn/batchnorm_1/sub": (stem,),
    }
    before = stem
    for i, (widening, _) in enumerate(MOBILENET_BLOCKS, 1):
        channels = widening * stem
        shapes[f"conv_dw_{i}/depthwise_kernel"] = (3, 3, before, 1)
        shapes[f"conv_dw_{i}_bn/batchnorm_1/mul"] = (1, 1, before)
        shapes[f"conv_dw_{i}_bn/batchnorm_1/sub"] = (1, 1, before)
        shapes[f"conv_pw_{i}/convolution/merged_input"] = (1, 1, before, channels)
        shapes[f"conv_pw_{i}_bn/batchnorm_1/sub"] = (channels,)
        before = channels
    shapes["feats/bias"] = (3,)
    shapes |= changes or {}
    rng = np.random.default_rng(0)
    raw = b"".join(
        (rng.uniform(-1, 2, shape) / math.sqrt(math.prod(shape[:-1]) or 1)).astype("<f2").tobytes()
        for shape in shapes.values()
    )
    (folder / "a.bin").write_bytes(raw[:1001])
    (folder / "b.bin").write_bytes(raw[1001:])
    weights = [
        {"name": name, "shape": shape, "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, shape in shapes.items()
    ]
    path = folder / "face.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": weights}]}))
    return path


def folded(weights: dict[str, np.ndarray], images: np.ndarray, side: int) -> np.ndarray:
    """What the published network makes of prepared grey images, computed with its folded weights by plain loops."""
    import tensorflow as tf

    x = tf.image.resize(images, (side, side)).numpy().repeat(3, axis=3)
    x = tf.nn.conv2d(x, weights["conv1/convolution/merged_input"], 2, "SAME")
    x = tf.nn.relu6(x + weights["conv1_bn/batchnorm_1/sub"])
    for i, (_, strides) in enumerate(MOBILENET_BLOCKS, 1):
        x = tf.nn.depthwise_conv2d(x, weights[f"conv_dw_{i}/depthwise_kernel"], (1, strides, strides, 1), "SAME")
        factor, offset = (weights[f"conv_dw_{i}_bn/batchnorm_1/{name}"] for name in ("mul", "sub"))
        x = tf.nn.relu6(x * factor + offset)
        x = tf.nn.conv2d(x, weights[f"conv_pw_{i}/convolution/merged_input"], 1, "SAME")
        x = tf.nn.relu6(x + weights[f"conv_pw_{i}_bn/batchnorm_1/sub"])
    return np.asarray(tf.reduce_mean(x, (1, 2)))


def test_the_network_gives_what_the_published_one_gave(
    keras: Any, drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_emotion.edge_runtime.dataset import open_dataset
    from edge_emotion.train.face_weights import convert, read_weights
    from edge_emotion.train.keras_model import KerasClassifier

    manifest, out = published(tmp_path), tmp_path / "faceres.keras"
    convert(manifest, drawn_faces, out)
    assert capsys.readouterr().out.startswith(f"{out}: ")
    classifier = KerasClassifier.open(out)
    model = classifier.model
    images = normalise(open_dataset(drawn_faces).load("validation").images[:5], get_preset("face").input)
    features = keras.Model(model.input, model.get_layer("pool").output)
    wanted = folded(read_weights(manifest), images, 112)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(features.predict_on_batch(images), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_whole_numbers_are_read_by_their_scale(tmp_path: Path, dtype: str) -> None:
    from edge_emotion.train.face_weights import read_weights

    whole = {"dtype": dtype, "scale": 0.25, "min": -1.5, "original_dtype": "float32"}
    weights = [
        {"name": "k", "shape": [2, 3], "dtype": "float32", "quantization": whole},
        {"name": "b", "shape": [2], "dtype": "float32"},
    ]
    raw = np.arange(6, dtype=dtype).tobytes() + np.array([0.5, -3], "<f4").tobytes()
    (tmp_path / "a.bin").write_bytes(raw)
    path = tmp_path / "face.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["a.bin"], "weights": weights}]}))
    read = read_weights(path)
    np.testing.assert_array_equal(read["k"], [[-1.5, -1.25, -1.0], [-0.75, -0.5, -0.25]])
    np.testing.assert_array_equal(read["b"], [0.5, -3])
    assert {values.dtype for values in read.values()} == {np.dtype(np.float32)}


def test_statistics_of_many_pixels_are_exact(keras: Any, tmp_path: Path) -> None:
    """Of as many images as the command takes: sums in float32 are off by a thousandth there."""
    from edge_emotion.edge_runtime.dataset import Split
    from edge_emotion.train.face_weights import face_network, read_weights

    weights = read_weights(published(tmp_path))
    rng = np.random.default_rng(0)
    pixels = rng.integers(150, 256, (450, 48, 48, 1), np.uint8)
    images = Split("train", ("a",), pixels, np.zeros(450, np.int64), tuple(map(str, range(450))))
    model = face_network(weights, images)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    values = np.asarray(stem.predict(normalise(pixels, get_preset("face").input), verbose=0), np.float64)
    mean, variance = model.get_layer("stem_norm").get_weights()[2:]
    np.testing.assert_allclose(mean, values.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, values.var(axis=(0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"^cannot read \S*face.json: No such file or directory$"),
        ("[]", "cannot read"),
        ("{", "cannot read"),
        ('{"weightsManifest": [{"paths": ["no.bin"]}]}', r"^cannot read \S*no.bin: No such file or directory$"),
    ],
)
def test_what_is_no_network_is_one_clear_line(tmp_path: Path, text: str | None, message: str) -> None:
    from edge_emotion.train.face_weights import read_weights

    path = tmp_path / "face.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


def test_the_weights_of_another_network_are_refused(keras: Any, tmp_path: Path) -> None:
    from edge_emotion.train.face_weights import face_network, read_weights

    weights = read_weights(published(tmp_path, {"conv_pw_3_bn/batchnorm_1/sub": (5,)}))
    with pytest.raises(ModelError, match="no conv_pw_3_bn/batchnorm_1/sub of shape"):
        face_network(weights, None)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not the weights of a MobileNet"):
        face_network({}, None)  # type: ignore[arg-type]


def test_what_is_no_keras_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--out is a \.keras file, got .*precious\.txt"):
        face_weights.convert(tmp_path / "net.json", tmp_path, tmp_path / "precious.txt")
