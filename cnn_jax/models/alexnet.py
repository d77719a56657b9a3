"""AlexNet: the convolutional network that won the ImageNet challenge of 2012."""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import fan_in_uniform, uniform_bias

# Channels, window, stride and padding of the five convolutions.
CONVS = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))


def alexnet(
    *, channels: int = 3, classes: int = 1000, dropout: float = 0.5, rngs: nnx.Rngs
) -> nn.Chain:
    """AlexNet: five convolutions and three dense layers, with ReLU and dropout.

    | Stage | Contents |
    |---|---|
    | `conv1`, `relu1`, `pool1` | 11 × 11 convolution, stride 4; 3 × 3 max pooling |
    | `conv2`, `relu2`, `pool2` | 5 × 5 convolution; 3 × 3 max pooling |
    | `conv3`, `relu3` to `conv5`, `relu5` | three 3 × 3 convolutions |
    | `pool5` | 3 × 3 max pooling, stride 2 as the others |
    | `mean` | adaptive average pooling to 6 × 6, so that images have any size from 63 |
    | `drop6`, `fc6`, `relu6` | dropout, dense layer, ReLU; then 7 likewise |
    | `classifier` | dense layer |

    New at the time: ReLU instead of tanh, with which training is several times faster
    (section 3.1), dropout (section 4.2), and size: 60 million weights, trained on two
    GPUs. The numbers of channels are those of the version of 2014 without local
    response normalization; in 2012 they were 96, 256, 384, 384 and 256 (figure 2).
    Weights are drawn as in torchvision, uniformly within ± 1 / √inputs.

    Args:
        channels: Number of channels of the images.
        classes: Number of classes.
        dropout: Rate of the dropout before `fc6` and `fc7`.
        rngs: Its streams `params` and `dropout` provide the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `dropout` is not at least 0 and below 1.

    Example:
        >>> shapes = nnx.eval_shape(lambda: alexnet(rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        61100840

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
        neural networks", 2012; Krizhevsky, "One weird trick for parallelizing
        convolutional neural networks", 2014, arXiv:1404.5997.
    """
    stages: dict[str, nn.Stage] = {}
    for i, (width, window, stride, padding) in enumerate(CONVS, 1):
        stages[f"conv{i}"] = nn.Conv(
            channels,
            width,
            (window, window),
            stride=stride,
            padding=padding,
            kernel_init=fan_in_uniform,
            bias_init=uniform_bias(channels * window**2),
            rngs=rngs,
        )
        stages[f"relu{i}"] = F.relu
        if i in (1, 2, 5):
            stages[f"pool{i}"] = nn.MaxPool((3, 3), stride=2)
        channels = width
    stages["mean"] = nn.AdaptiveAvgPool((6, 6))
    for i, inputs in (6, (6, 6, channels)), (7, 4096):
        stages[f"drop{i}"] = nn.Dropout(dropout, rngs=rngs)
        stages[f"fc{i}"] = _blocks.uniform_dense(inputs, 4096, rngs=rngs)
        stages[f"relu{i}"] = F.relu
    stages["classifier"] = _blocks.uniform_dense(4096, classes, rngs=rngs)
    return nn.Chain(stages)
