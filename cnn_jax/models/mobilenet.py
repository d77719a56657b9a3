"""MobileNet: a window for each map by itself, then a mix of maps."""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import he_normal_out, small_normal

# Table 1: maps and stride of each of the thirteen pairs.
PAIRS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(
    *, width: float = 1.0, channels: int = 3, classes: int = 1000, rngs: nnx.Rngs
) -> nn.Chain:
    """A stem, thirteen pairs of a depthwise and a pointwise convolution, logits.

    What it changed: a 3 × 3 convolution in two parts, one window per map and then 1 × 1
    over maps, takes an eighth to a ninth of the multiply-adds (section 3.1) for a point
    of accuracy (table 4). Kernels are drawn normal with He et al.'s variance, backward,
    as torchvision does in its second version; the paper does not say how.

    Args:
        width: By how much every number of maps is multiplied (section 3.3).
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `width` leaves no map.

    Example:
        >>> shapes = nnx.eval_shape(lambda: mobilenet_v1(rngs=nnx.Rngs(0)))
        >>> print(nn.summary(shapes, (224, 224, 3)).parameters)  # table 8: 4.2 million
        4231976

    Source:
        Howard et al., "MobileNets: Efficient convolutional neural networks for mobile
        vision applications", 2017, arXiv:1704.04861, table 1.
    """
    if int(32 * width) < 1:
        raise ValueError(f"`width` is {width}, but must leave a map of 32: ≥ 1/32.")
    maps = int(32 * width)
    stages: dict[str, nn.Stage] = {
        "conv0": _conv(channels, maps, 3, rngs, stride=2),
        "norm0": nn.BatchNorm(maps),
        "relu0": F.relu,
    }
    for i, (features, stride) in enumerate(PAIRS, 1):
        out = int(features * width)
        stages[f"pair{i}"] = nn.Chain(
            {
                "depthwise": _conv(maps, maps, 3, rngs, stride=stride, groups=maps),
                "norm1": nn.BatchNorm(maps),
                "relu1": F.relu,
                "pointwise": _conv(maps, out, 1, rngs),
                "norm2": nn.BatchNorm(out),
                "relu2": F.relu,
            }
        )
        maps = out
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = nn.Dense(maps, classes, kernel_init=small_normal, rngs=rngs)
    return nn.Chain(stages)


def _conv(
    inputs: int,
    features: int,
    window: int,
    rngs: nnx.Rngs,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Conv:
    return nn.Conv(
        inputs,
        features,
        (window, window),
        stride=stride,
        padding=window // 2,
        groups=groups,
        use_bias=False,
        kernel_init=he_normal_out,
        rngs=rngs,
    )
