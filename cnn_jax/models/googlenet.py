"""GoogLeNet: windows of several sizes side by side, and heads on the way."""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import small_truncated

# Table 1: 1×1; 3×3 reduced, 3×3; 5×5 reduced, 5×5; what the pool is projected to.
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


def googlenet(
    *,
    channels: int = 3,
    classes: int = 1000,
    heads: bool = True,
    dropout: float = 0.2,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """A stem, nine inceptions, one layer of logits; and two heads that help to learn.

    What it changed: an inception looks through 1 × 1, 3 × 3 and 5 × 5 windows and a
    pool at once (figure 2b), behind 1 × 1 convolutions that narrow what they read, so
    that 22 layers take a ninth of AlexNet's weights. Auxiliary heads behind 4a and 4d
    give their loss, at a weight of 0.3, to the gradient (section 5); they hang on cuts,
    so only `with_heads` runs them. As torchvision's this one normalizes batches, has
    3 × 3 where the paper has 5 × 5, pools with hanging windows, and draws its weights
    from a normal with deviation 0.01, cut at two deviations.

    Args:
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        heads: Whether the auxiliary heads are there.
        dropout: The share of values that is left out before the logits.
        rngs: Its streams `params` and `dropout` give the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Example:
        >>> shapes = nnx.eval_shape(lambda: googlenet(heads=False, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        6624904

    Source:
        Szegedy et al., "Going deeper with convolutions", 2014, arXiv:1409.4842, table
        1; torchvision.models.googlenet.
    """
    stages: dict[str, nn.Stage] = {
        "conv1": _conv(channels, 64, 7, rngs, stride=2),
        "pool1": _pool(3),
        "conv2": _conv(64, 64, 1, rngs),
        "conv3": _conv(64, 192, 3, rngs),
        "pool2": _pool(3),
    }
    inputs, before = 192, {"4a": "pool3", "5a": "pool4"}
    for name, widths in INCEPTIONS.items():
        if name in before:
            stages[before[name]] = _pool(3 if name == "4a" else 2)
        stages[f"inception{name}"] = _inception(inputs, widths, rngs)
        inputs = widths[0] + widths[2] + widths[4] + widths[5]
    stages["mean"] = nn.GlobalAvgPool()
    stages["drop"] = nn.Dropout(dropout, rngs=rngs)
    stages["classifier"] = _dense(inputs, classes, rngs)
    hung = {"aux1": ("inception4a", 512), "aux2": ("inception4d", 528)}
    made = {
        name: (cut, _head(width, classes, rngs))
        for name, (cut, width) in hung.items()
        if heads
    }
    return nn.Chain(stages, heads=made)


def _conv(
    inputs: int, features: int, window: int, rngs: nnx.Rngs, *, stride: int = 1
) -> nn.Chain:
    return nn.Chain(
        {
            "conv": nn.Conv(
                inputs,
                features,
                (window, window),
                stride=stride,
                padding=window // 2,
                use_bias=False,
                kernel_init=small_truncated,
                rngs=rngs,
            ),
            "norm": nn.BatchNorm(features, epsilon=0.001),
            "relu": F.relu,
        }
    )


def _pool(window: int) -> nn.MaxPool:
    return nn.MaxPool((window, window), stride=2, ceil_mode=True)


def _inception(inputs: int, widths: tuple[int, ...], rngs: nnx.Rngs) -> nn.Branches:
    one, before3, three, before5, five, projected = widths
    return nn.Branches(
        {
            "1x1": _conv(inputs, one, 1, rngs),
            "3x3": nn.Chain(
                {
                    "reduce": _conv(inputs, before3, 1, rngs),
                    "look": _conv(before3, three, 3, rngs),
                }
            ),
            "5x5": nn.Chain(
                {
                    "reduce": _conv(inputs, before5, 1, rngs),
                    "look": _conv(before5, five, 3, rngs),
                }
            ),
            "pool": nn.Chain(
                {
                    "pool": nn.MaxPool((3, 3), stride=1, padding=1),
                    "project": _conv(inputs, projected, 1, rngs),
                }
            ),
        }
    )


def _head(inputs: int, classes: int, rngs: nnx.Rngs) -> nn.Chain:
    return nn.Chain(
        {
            "mean": nn.AdaptiveAvgPool((4, 4)),
            "conv": _conv(inputs, 128, 1, rngs),
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
