"""VGG: deep networks of 3 × 3 convolutions."""

from flax import nnx
from jax.nn.initializers import zeros

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import he_normal_out, small_normal

# Convolutions in each of the five blocks: table 1, columns A, B, D and E.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def vgg(
    *,
    depth: int = 16,
    batch_norm: bool = False,
    channels: int = 3,
    classes: int = 1000,
    hidden: int = 4096,
    dropout: float = 0.5,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """VGG-11 to VGG-19: five blocks of 3 × 3 convolutions and three dense layers.

    | Stage | Contents |
    |---|---|
    | `conv1_1`, `relu1_1`, … | 3 × 3 convolutions of 64, 128, 256, 512, 512 channels |
    | `pool1` to `pool5` | 2 × 2 max pooling after each block |
    | `mean` | adaptive average pooling to 7 × 7, so that images have any size from 32 |
    | `fc6`, `relu6`, `drop6` | dense layer, ReLU, dropout; then `fc7` likewise |
    | `classifier` | dense layer |

    New at the time: depth. Two 3 × 3 convolutions have the receptive field of one of
    5 × 5, and three that of one of 7 × 7, with fewer weights and more ReLUs (section
    2.3); the error decreases with depth up to 19 (table 3). Stages carry the names of
    the authors' models, but for `classifier`, which is their fc8. Weights are drawn as
    in torchvision: from a normal distribution with He et al.'s variance, backward, and
    with standard deviation 0.01 in the dense layers.

    Args:
        depth: Number of layers with weights: 11, 13, 16 or 19.
        batch_norm: Whether each ReLU follows a batch normalization, which the paper
            does not have and torchvision offers.
        channels: Number of channels of the images.
        classes: Number of classes.
        hidden: Number of features of `fc6` and `fc7`.
        dropout: Rate of the dropout after `fc6` and `fc7`.
        rngs: Its streams `params` and `dropout` provide the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If there is no such depth, or `dropout` is not at least 0 and
            below 1.

    Example:
        >>> shapes = nnx.eval_shape(lambda: vgg(depth=16, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        138357544

    Source:
        Simonyan & Zisserman, "Very deep convolutional networks for large-scale image
        recognition", 2014, arXiv:1409.1556, table 1.
    """
    _blocks.check_depth(depth, DEPTHS)
    stages: dict[str, nn.Stage] = {}
    for block, (count, width) in enumerate(zip(DEPTHS[depth], WIDTHS, strict=True), 1):
        for i in range(1, count + 1):
            suffix = f"{block}_{i}"
            stages[f"conv{suffix}"] = nn.Conv(
                channels, width, (3, 3), padding=1, kernel_init=he_normal_out, rngs=rngs
            )
            if batch_norm:
                stages |= _blocks.norm_relu(width, suffix)
            stages[f"relu{suffix}"] = F.relu
            channels = width
        stages[f"pool{block}"] = nn.MaxPool((2, 2))
    stages["mean"] = nn.AdaptiveAvgPool((7, 7))
    for i, inputs in (6, (7, 7, channels)), (7, hidden):
        stages[f"fc{i}"] = _dense(inputs, hidden, rngs)
        stages[f"relu{i}"] = F.relu
        stages[f"drop{i}"] = nn.Dropout(dropout, rngs=rngs)
    stages["classifier"] = _dense(hidden, classes, rngs)
    return nn.Chain(stages)


def _dense(inputs: int | tuple[int, ...], outputs: int, rngs: nnx.Rngs) -> nn.Dense:
    return nn.Dense(
        inputs, outputs, kernel_init=small_normal, bias_init=zeros, rngs=rngs
    )
