"""AlexNet, with which deep networks began to win."""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import fan_in_uniform, uniform_bias


def alexnet(
    *, channels: int = 3, classes: int = 1000, dropout: float = 0.5, rngs: nnx.Rngs
) -> nn.Chain:
    """Five convolutions and three layers of logits, rectified, with dropout.

    What it changed: rectifiers instead of tanh, which learn several times faster
    (section 3.1), dropout (4.2), and size: 60 million weights, trained on two GPUs. The
    widths are those of the one-tower version of 2014, which has no local response
    normalization; in 2012 they were 96, 256, 384, 384 and 256 (figure 2). Before
    the fully connected stages, the maps are pooled to 6 × 6, so that images may have
    any size from 63 on.
    Weights are drawn as torchvision does, uniformly within ± 1 / √(inputs).

    Args:
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        dropout: The share of values that is left out before the first two logits.
        rngs: Its streams `params` and `dropout` give the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Example:
        >>> shapes = nnx.eval_shape(lambda: alexnet(rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        61100840

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
        neural networks", 2012; Krizhevsky, "One weird trick for parallelizing
        convolutional neural networks", 2014, arXiv:1404.5997.
    """

    def conv(inputs: int, features: int, window: int, stride: int = 1) -> nn.Conv:
        return nn.Conv(
            inputs,
            features,
            (window, window),
            stride=stride,
            padding=window // 2 if stride == 1 else 2,
            kernel_init=fan_in_uniform,
            bias_init=uniform_bias(inputs * window**2),
            rngs=rngs,
        )

    def dense(inputs: int | tuple[int, ...], outputs: int) -> nn.Dense:
        values = (
            inputs if isinstance(inputs, int) else inputs[0] * inputs[1] * inputs[2]
        )
        bias = uniform_bias(values)
        return nn.Dense(
            inputs, outputs, kernel_init=fan_in_uniform, bias_init=bias, rngs=rngs
        )

    pool = nn.MaxPool((3, 3), stride=2)
    return nn.Chain(
        {
            "conv1": conv(channels, 64, 11, 4),
            "relu1": F.relu,
            "pool1": pool,
            "conv2": conv(64, 192, 5),
            "relu2": F.relu,
            "pool2": pool,
            "conv3": conv(192, 384, 3),
            "relu3": F.relu,
            "conv4": conv(384, 256, 3),
            "relu4": F.relu,
            "conv5": conv(256, 256, 3),
            "relu5": F.relu,
            "pool5": pool,
            "mean": nn.AdaptiveAvgPool((6, 6)),
            "drop6": nn.Dropout(dropout, rngs=rngs),
            "fc6": dense((6, 6, 256), 4096),
            "relu6": F.relu,
            "drop7": nn.Dropout(dropout, rngs=rngs),
            "fc7": dense(4096, 4096),
            "relu7": F.relu,
            "fc8": dense(4096, classes),
        }
    )
