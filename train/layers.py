"""The convolutions and the normalisation to train with: Keras's own, or ones that suit the backend better.

Keras's torch backend copies every image twice at a convolution and writes batch normalisation out in float32
multiplications; both together take half of a training step on a CPU. On TensorFlow 2.21 with oneDNN on a CPU with
AVX-512, the gradient of a 1×1 kernel with strides writes past its memory when the number of images is odd. The layers
here hold the same variables in the same order and compute the same thing. They are never saved: what is saved is a
copy made of Keras's own layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Layers(NamedTuple):
    """Layer classes for a network to be built of."""

    convolution: Any
    normalisation: Any
    depthwise: Any


def standard_layers() -> Layers:
    """Keras's own, which load anywhere."""
    import keras

    return Layers(keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.DepthwiseConv2D)


def training_layers() -> Layers:
    """Those for the backend."""
    import keras

    own = {"torch": _torch_layers, "tensorflow": _tensorflow_layers}
    return own.get(keras.backend.backend(), standard_layers)()


def _tensorflow_layers() -> Layers:
    import keras

    class Convolution(keras.layers.Conv2D):  # type: ignore[misc]
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            if self.kernel_size != (1, 1):
                return super().convolution_op(inputs, kernel)
            down, across = self.strides
            return keras.ops.conv(inputs[:, ::down, ::across], kernel, padding="valid")

    return standard_layers()._replace(convolution=Convolution)


def _torch_layers() -> Layers:
    import keras
    import torch
    from torch.nn import functional

    def convolve(layer: Any, x: Any, weights: Any, groups: int = 1) -> Any:
        strides, padding = layer.strides, [0, 0]
        if layer.kernel_size == (1, 1):  # torch would compute what the stride then drops
            x, strides = x[:, :: strides[0], :: strides[1]], (1, 1)
        elif layer.padding == "same":
            sides = zip(x.shape[1:3], layer.kernel_size, strides, strict=True)
            total = [max(0, (-(-size // stride) - 1) * stride + k - size) for size, k, stride in sides]
            padding = [pad // 2 for pad in total]
            if any(pad % 2 for pad in total):  # one more after than before, as in TensorFlow
                (top, left), (height, width) = padding, total
                x = functional.pad(x, (0, 0, left, width - left, top, height - top))
                padding = [0, 0]
        x = x.permute(0, 3, 1, 2)  # a view: torch calls this memory order channels_last
        return functional.conv2d(x, weights, None, strides, padding, groups=groups).permute(0, 2, 3, 1)

    class Convolution(keras.layers.Conv2D):  # type: ignore[misc]
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return convolve(self, inputs, keras.ops.convert_to_tensor(kernel).permute(3, 2, 0, 1))

    class Depthwise(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            weights = keras.ops.convert_to_tensor(self.kernel).permute(2, 3, 0, 1)
            return convolve(self, inputs, weights, groups=inputs.shape[3])

    class Normalisation(keras.layers.BatchNormalization):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not (training and self.trainable) or inputs.ndim != 4 or mask is not None:
                return super().call(inputs, training=training, mask=mask)
            outputs, mean, inverse_std = torch.native_batch_norm(
                inputs.permute(0, 3, 1, 2), self.gamma.value, self.beta.value, None, None, True, 0.0, self.epsilon
            )
            variance = inverse_std.detach() ** -2 - self.epsilon  # of the batch, biased, as Keras keeps it
            for moving, batch in ((self.moving_mean, mean.detach()), (self.moving_variance, variance)):
                moving.assign(moving.value * self.momentum + batch * (1 - self.momentum))
            return outputs.permute(0, 2, 3, 1)

    return Layers(Convolution, Normalisation, Depthwise)
