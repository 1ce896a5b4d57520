"""Network architectures, as frozen descriptions that build a Keras model.

All return logits: the softmax belongs to the loss and to the host, because an int8 softmax has a fixed scale of 1/256
and makes probabilities tie.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..edge_runtime import console
from ..edge_runtime.errors import OptionError
from ..edge_runtime.metadata import InputSpec
from .layers import Layers, standard_layers


@dataclass(frozen=True)
class SlidesNetwork:
    """The customer's reference network: three valid convolutions, twelve hidden dense layers, batch norm after ReLU.

    With three classes it has 2,434,435 parameters: 2,425,731 trainable, 8,704 not.
    """

    convolutions: tuple[int, ...] = (128, 128, 256)
    dense: tuple[int, ...] = (256,) * 11 + (1024,)

    def __post_init__(self) -> None:
        _require_positive("convolutions", self.convolutions)
        _require_positive("dense", self.dense)

    def build(self, spec: InputSpec, classes: int, dtype: str = "float32", kit: Layers | None = None) -> Any:
        """A `keras.Model` from (N, H, W, C) float input to (N, classes) float32 logits.

        kit: the layer classes to build it of, `standard_layers()` unless given.
        """
        import keras

        kit = kit or standard_layers()

        layers = keras.layers
        inputs = keras.Input(spec.shape, name="image")
        x = inputs
        for i, filters in enumerate(self.convolutions, 1):
            x = kit.convolution(filters, 3, activation="relu", name=f"conv{i}", dtype=dtype)(x)
            x = kit.normalisation(name=f"conv{i}_norm", dtype=dtype)(x)
            x = layers.MaxPooling2D(2, name=f"conv{i}_pool", dtype=dtype)(x)
        x = layers.Flatten(name="flatten", dtype=dtype)(x)
        for i, units in enumerate(self.dense, 1):
            x = layers.Dense(units, activation="relu", name=f"dense{i}", dtype=dtype)(x)
            x = kit.normalisation(name=f"dense{i}_norm", dtype=dtype)(x)
        outputs = layers.Dense(classes, name="logits", dtype="float32")(x)
        return keras.Model(inputs, outputs, name="slides")


@dataclass(frozen=True)
class ResidualNetwork:
    """Plain 3×3 residual network (He 2016, basic blocks) under the rules that keep int8 fast and faithful.

    Conv → BN → ReLU6 folds into one operator; no squeeze-excite, no hard-swish, global average pooling, one dense
    layer. Every stage halves the resolution. The presets' stages have channels in multiples of 16 (the dot-product
    kernels of a Cortex-A76). stem: channels of the first convolution. stages: (channels, blocks) of each stage.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        _require_positive("stem", (self.stem,))
        for stage in self.stages:
            if not isinstance(stage, tuple) or len(stage) != 2:
                raise OptionError(f"architecture.stages holds pairs of channels and blocks, got {stage!r}")
            _require_positive("stages", stage)

    def build(self, spec: InputSpec, classes: int, dtype: str = "float32", kit: Layers | None = None) -> Any:
        """A `keras.Model` from (N, H, W, C) float input to (N, classes) float32 logits.

        kit: the layer classes to build it of, `standard_layers()` unless given.
        """
        import keras

        kit = kit or standard_layers()

        layers = keras.layers

        def conv(x: Any, filters: int, kernel: int, strides: int, name: str) -> Any:
            x = kit.convolution(
                filters,
                kernel,
                strides=strides,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=name,
                dtype=dtype,
            )(x)
            return kit.normalisation(momentum=0.9, epsilon=1e-4, name=f"{name}_norm", dtype=dtype)(x)

        def relu6(x: Any, name: str) -> Any:
            return layers.ReLU(6, name=name, dtype=dtype)(x)

        inputs = keras.Input(spec.shape, name="image")
        x = relu6(conv(inputs, self.stem, 3, 1, "stem"), "stem_relu")
        for s, (channels, blocks) in enumerate(self.stages, 1):
            for b in range(1, blocks + 1):
                name, strides = f"stage{s}_block{b}", 2 if b == 1 else 1
                shortcut = conv(x, channels, 1, strides, f"{name}_shortcut") if b == 1 else x
                y = relu6(conv(x, channels, 3, strides, f"{name}_conv1"), f"{name}_relu1")
                y = conv(y, channels, 3, 1, f"{name}_conv2")
                x = relu6(layers.Add(name=f"{name}_add", dtype=dtype)([shortcut, y]), f"{name}_relu2")
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        outputs = layers.Dense(classes, name="logits", dtype="float32")(x)
        return keras.Model(inputs, outputs, name="residual")


@dataclass(frozen=True)
class MobileNet:
    """MobileNet (Howard 2017) on the face enlarged to `side` pixels: what published face networks are made of, so that
    one can begin with their weights (`face_weights`). A teacher, not for a device.

    stem: channels of the first convolution; the last one has 32 times as many. frozen: convolutions, from the first
    on, that keep the weights they begin with. dropout: share of the pooled features left out in training.
    """

    side: int = 112
    stem: int = 32
    frozen: int = 5
    dropout: float = 0.2

    def __post_init__(self) -> None:
        _require_positive("side", (self.side,))
        _require_positive("stem", (self.stem,))
        if type(self.frozen) is not int or not 0 <= self.frozen <= 1 + 2 * len(MOBILENET_BLOCKS):
            raise OptionError(
                f"architecture.frozen is from 0 to {1 + 2 * len(MOBILENET_BLOCKS)} convolutions, got {self.frozen}"
            )
        if not 0 <= self.dropout < 1:
            raise OptionError(f"architecture.dropout must be from 0 to below 1, got {self.dropout}")

    def build(self, spec: InputSpec, classes: int, dtype: str = "float32", kit: Layers | None = None) -> Any:
        """A `keras.Model` from (N, H, W, C) float input to (N, classes) float32 logits.

        kit: the layer classes to build it of, `standard_layers()` unless given.
        """
        import keras

        kit = kit or standard_layers()
        layers = keras.layers
        options = {"padding": "same", "use_bias": False, "dtype": dtype}
        convolutions = [kit.convolution(self.stem, 3, strides=2, name="stem", **options)]
        for i, (widening, strides) in enumerate(MOBILENET_BLOCKS, 1):
            convolutions.append(kit.depthwise(3, strides=strides, name=f"depthwise{i}", **options))
            convolutions.append(kit.convolution(widening * self.stem, 1, name=f"pointwise{i}", **options))

        inputs = keras.Input(spec.shape, name="image")
        x = layers.Resizing(self.side, self.side, name="enlarge", dtype="float32")(inputs)
        for i, convolution in enumerate(convolutions):
            name = convolution.name
            normalisation = kit.normalisation(momentum=0.95, name=f"{name}_norm", dtype=dtype)
            convolution.trainable = normalisation.trainable = i >= self.frozen
            x = layers.ReLU(6, name=f"{name}_relu", dtype=dtype)(normalisation(convolution(x)))
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        x = layers.Dropout(self.dropout, name="dropout", dtype="float32")(x)
        outputs = layers.Dense(classes, name="logits", dtype="float32")(x)
        return keras.Model(inputs, outputs, name="mobilenet")


MOBILENET_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
"""Channels in those of the stem, and strides, of each pair of a depthwise and a pointwise convolution."""


def _require_positive(name: str, numbers: tuple[int, ...]) -> None:
    if not all(type(number) is int and number > 0 for number in numbers):
        raise OptionError(f"architecture.{name} takes whole numbers from 1 up, got {numbers}")


Architecture = SlidesNetwork | ResidualNetwork | MobileNet
ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.__name__: kind for kind in (SlidesNetwork, ResidualNetwork, MobileNet)
}


def architecture_from_json(document: Mapping[str, Any]) -> Architecture:
    """The architecture that a preset's `to_json` wrote.

    Raises OptionError for an unknown kind or a number out of range, KeyError or TypeError when it is malformed.
    """
    kind, values = document["kind"], {k: _tuples(v) for k, v in document.items() if k != "kind"}
    if kind not in ARCHITECTURES:
        raise OptionError(f"architecture.kind must be {' or '.join(ARCHITECTURES)}, got {kind!r}")
    return ARCHITECTURES[kind](**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def summary(model: Any) -> str:
    """A table of the layers of a `keras.Model` with their output shapes and parameters, and the totals."""
    rows = []
    for layer in model.layers:
        shape = "×".join(str(side) for side in layer.output.shape[1:])
        rows.append([layer.name, type(layer).__name__, shape, f"{layer.count_params():,}"])
    total, trainable = model.count_params(), sum(math.prod(v.shape) for v in model.trainable_variables)
    table = console.table(["layer", "type", "output", "parameters"], rows, left=2)
    return f"{table}\n{total:,} parameters: {trainable:,} trainable, {total - trainable:,} not"
