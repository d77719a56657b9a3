"""GoogLeNet: kernels of several sizes in parallel, and auxiliary heads."""

from functools import partial

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import small_truncated

# Table 1: 1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5; pool projection.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# The stage whose output an auxiliary head reads, and its number of channels.
HEADS = {"aux1": ("inception4a", 512), "aux2": ("inception4d", 528)}


def googlenet(
    *,
    channels: int = 3,
    classes: int = 1000,
    heads: bool = True,
    dropout: float = 0.2,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """GoogLeNet: a stem, nine inception blocks, and two auxiliary heads.

    | Stage | Contents |
    |---|---|
    | `conv1`, `pool1` | 7 × 7 convolution, stride 2; 3 × 3 max pooling, stride 2 |
    | `conv2`, `conv3`, `pool2` | 1 × 1 and 3 × 3 convolution; max pooling |
    | `inception3a`, `inception3b`, `pool3` | two inception blocks; max pooling |
    | `inception4a` to `inception4e`, `pool4` | five inception blocks; max pooling |
    | `inception5a`, `inception5b` | two inception blocks |
    | `mean`, `drop` | global average pooling; dropout |
    | `classifier` | dense layer |

    New at the time: an inception block runs 1 × 1, 3 × 3 and 5 × 5 convolutions and a
    pooling in parallel (figure 2b), after 1 × 1 convolutions that reduce the channels,
    so that 22 layers have a ninth of AlexNet's weights. Auxiliary heads after 4a and 4d
    contribute to the loss with weight 0.3 (section 5); only `with_heads` runs them. As
    in torchvision, convolutions have batch normalization, the 5 × 5 convolutions are
    3 × 3, poolings use `ceil_mode`, and weights are drawn from a normal distribution
    with standard deviation 0.01, truncated at two standard deviations.

    Args:
        channels: Number of channels of the images.
        classes: Number of classes.
        heads: Whether the network has the auxiliary heads.
        dropout: Rate of the dropout before the classifier.
        rngs: Its streams `params` and `dropout` provide the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `dropout` is not at least 0 and below 1.

    Example:
        >>> shapes = nnx.eval_shape(lambda: googlenet(heads=False, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        6624904

    Source:
        Szegedy et al., "Going deeper with convolutions", 2014, arXiv:1409.4842, table
        1; torchvision.models.googlenet.
    """
    conv = partial(_conv, rngs=rngs)
    stages: dict[str, nn.Stage] = {
        "conv1": conv(channels, 64, 7, stride=2),
        "pool1": _pool(3),
        "conv2": conv(64, 64, 1),
        "conv3": conv(64, 192, 3),
        "pool2": _pool(3),
    }
    inputs, pools = 192, {"4a": ("pool3", 3), "5a": ("pool4", 2)}
    for name, widths in INCEPTIONS.items():
        if name in pools:
            pool, window = pools[name]
            stages[pool] = _pool(window)
        stages[f"inception{name}"] = _inception(inputs, widths, rngs)
        inputs = widths[0] + widths[2] + widths[4] + widths[5]
    stages["mean"] = nn.GlobalAvgPool()
    stages["drop"] = nn.Dropout(dropout, rngs=rngs)
    stages["classifier"] = _dense(inputs, classes, rngs)
    auxiliary = {
        name: (cut, _head(width, classes, rngs))
        for name, (cut, width) in HEADS.items()
        if heads
    }
    return nn.Chain(stages, heads=auxiliary)


def _conv(
    inputs: int, outputs: int, window: int, *, stride: int = 1, rngs: nnx.Rngs
) -> nn.Chain:
    return nn.Chain(
        _blocks.conv_norm_relu(
            inputs,
            outputs,
            window,
            stride=stride,
            epsilon=0.001,
            init=small_truncated,
            rngs=rngs,
        )
    )


def _pool(window: int) -> nn.MaxPool:
    return nn.MaxPool((window, window), stride=2, ceil_mode=True)


def _inception(inputs: int, widths: tuple[int, ...], rngs: nnx.Rngs) -> nn.Branches:
    one, reduce3, three, reduce5, five, projected = widths
    conv = partial(_conv, rngs=rngs)

    def reduced(middle: int, outputs: int) -> nn.Chain:
        reduce = conv(inputs, middle, 1)
        return nn.Chain({"reduce": reduce, "look": conv(middle, outputs, 3)})

    return nn.Branches(
        {
            "1x1": conv(inputs, one, 1),
            "3x3": reduced(reduce3, three),
            "5x5": reduced(reduce5, five),
            "pool": nn.Chain(
                {
                    "pool": nn.MaxPool((3, 3), stride=1, padding=1),
                    "project": conv(inputs, projected, 1),
                }
            ),
        }
    )


def _head(inputs: int, classes: int, rngs: nnx.Rngs) -> nn.Chain:
    return nn.Chain(
        {
            "mean": nn.AdaptiveAvgPool((4, 4)),
            "conv": _conv(inputs, 128, 1, rngs=rngs),
            "hidden": _dense((4, 4, 128), 1024, rngs),
            "relu": F.relu,
            "drop": nn.Dropout(0.7, rngs=rngs),
            "classifier": _dense(1024, classes, rngs),
        }
    )


def _dense(
    inputs: int | tuple[int, int, int], outputs: int, rngs: nnx.Rngs
) -> nn.Dense:
    return nn.Dense(inputs, outputs, kernel_init=small_truncated, rngs=rngs)
