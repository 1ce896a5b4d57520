"""Published face networks as a start for the `face` preset.

`python -m edge_emotion.train.face_weights faceres-deep.json --data faces.zip --out faceres.keras` reads HSE-FaceRes, a
MobileNet, as a graph model of TensorFlow.js. Its normalisations have been folded into a factor and an offset a channel.
That is taken back: the statistics that training needs are measured on images of the dataset.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..edge_runtime import console, options
from ..edge_runtime.cli import StageCommand, main
from ..edge_runtime.dataset import Split, open_dataset
from ..edge_runtime.errors import ModelError, OptionError
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import normalise
from .architectures import MOBILENET_BLOCKS, MobileNet
from .keras_model import import_keras, save
from .presets import get_preset

IMAGES = 64
"""How many images of each class the statistics of the normalisations are measured on."""
Weights = dict[str, NDArray[np.float32]]

app = typer.Typer(add_completion=False)


@app.command(cls=StageCommand)
def convert(
    manifest: Annotated[Path, typer.Argument(help="The network's .json; its weights lie beside it.")],
    data: options.Data,
    out: Annotated[Path, typer.Option(metavar="FILE.keras", help="What to write.")] = Path("faceres.keras"),
) -> None:
    """Make a published face network's weights a start for `train --preset face --from`."""
    if out.suffix != ".keras":
        raise OptionError(f"--out is a .keras file, got {out}")
    import_keras()
    weights, spec = read_weights(manifest), get_preset("face").input
    with console.progress("decoding") as bar:
        images = open_dataset(data).load("train", spec, progress=bar).limit(IMAGES)
    model = face_network(weights, images)
    save(model, out, ModelMetadata(labels=images.classes, input=spec, name="face"))
    console.emit(f"{out}: {model.count_params():,} parameters")


def read_weights(manifest: Path) -> Weights:
    """The weights of a TensorFlow.js model by name, as float32. Raises ModelError when they cannot be read."""
    try:
        groups = json.loads(manifest.read_text(encoding="utf-8"))["weightsManifest"]
        weights: Weights = {}
        for group in groups:
            raw = b"".join((manifest.parent / path).read_bytes() for path in group["paths"])
            offset = 0
            for weight in group["weights"]:
                kept = {"scale": 1.0, "min": 0.0, **weight.get("quantization", weight)}  # half floats have no scale
                dtype = np.dtype(kept["dtype"]).newbyteorder("<")
                values = np.frombuffer(raw, dtype, math.prod(weight["shape"]), offset)
                real = values.astype(np.float32) * kept["scale"] + kept["min"]
                weights[weight["name"]] = real.reshape(weight["shape"])
                offset += values.nbytes
    except OSError as error:
        raise ModelError(f"cannot read {error.filename or manifest}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"cannot read the weights of {manifest}: {error}") from error
    return weights


def face_network(weights: Weights, images: Split) -> Any:
    """A `keras.Model` of the `face` preset's architecture whose features are on these images what the folded weights
    give; its output layer has learnt nothing. Raises ModelError when the weights are another network's."""
    from keras import ops

    def weight(name: str, *shape: int) -> NDArray[np.float32]:
        if name not in weights or weights[name].size != math.prod(shape):
            raise ModelError(f"these are not the weights of a MobileNet: no {name} of shape {shape}")
        return weights[name].reshape(shape)

    first = "conv1/convolution/merged_input"
    channels = stem = weights[first].shape[-1] if first in weights else MobileNet.stem
    kernels = {"stem": weight(first, 3, 3, 3, stem).sum(axis=2, keepdims=True)}  # grey: all channels the same
    factors, offsets = {"stem": np.ones(stem, np.float32)}, {"stem": weight("conv1_bn/batchnorm_1/sub", stem)}
    for i, (widening, _) in enumerate(MOBILENET_BLOCKS, 1):
        before, channels = channels, widening * stem
        depthwise, pointwise = f"depthwise{i}", f"pointwise{i}"
        kernels[depthwise] = weight(f"conv_dw_{i}/depthwise_kernel", 3, 3, before, 1)
        factors[depthwise] = weight(f"conv_dw_{i}_bn/batchnorm_1/mul", before)
        offsets[depthwise] = weight(f"conv_dw_{i}_bn/batchnorm_1/sub", before)
        kernels[pointwise] = weight(f"conv_pw_{i}/convolution/merged_input", 1, 1, before, channels)
        factors[pointwise] = np.ones(channels, np.float32)
        offsets[pointwise] = weight(f"conv_pw_{i}_bn/batchnorm_1/sub", channels)

    preset = get_preset("face")
    model = MobileNet(stem=stem).build(preset.input, len(images.classes))
    x = normalise(images.images, preset.input)
    for layer in model.layers[1:]:  # one after the other
        name = layer.name.removesuffix("_norm")
        if layer.name in kernels:
            layer.set_weights([kernels[layer.name]])
        elif name in kernels:
            values = ops.convert_to_numpy(x)
            # float32 would add the millions of values of a channel one by one, and lose the last ones
            mean, variance = (statistic(values, axis=(0, 1, 2), dtype=np.float64) for statistic in (np.mean, np.var))
            gamma = factors[name] * np.sqrt(variance + layer.epsilon)
            layer.set_weights([gamma, offsets[name] + factors[name] * mean, mean, variance])
        x = layer(x)
    return model


if __name__ == "__main__":
    main(app, "python -m edge_emotion.train.face_weights")
