"""DenseNet: every layer reads all that came before it in its block."""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import fan_in_uniform, he_normal_in

# Table 1: layers in each block, maps that a layer adds, maps of the stem.
DEPTHS = {
    121: ((6, 12, 24, 16), 32, 64),
    161: ((6, 12, 36, 24), 48, 96),
    169: ((6, 12, 32, 32), 32, 64),
    201: ((6, 12, 48, 32), 32, 64),
}


def densenet(
    *,
    depth: int = 121,
    blocks: tuple[int, ...] | None = None,
    growth: int | None = None,
    channels: int = 3,
    classes: int = 1000,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """A stem, four blocks whose layers add a few maps each, one layer of logits.

    What it changed: a layer puts its maps beside what it read instead of adding to it
    (equation 2), so that all later ones see them and few are enough: 8 million weights
    do what ResNet-50 does with 25 (figure 3). A layer normalizes, rectifies, narrows to
    four times its growth (DenseNet-B), normalizes, rectifies and looks; between two
    blocks half of the maps go on (DenseNet-C). Kernels are drawn as in torchvision,
    normal with He et al.'s variance, forward.

    Args:
        depth: 121, 161, 169 or 201 layers with weights.
        blocks: Layers in each block, in place of what `depth` says.
        growth: Maps that each layer adds, in place of what `depth` says.
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If there is no such depth.

    Example:
        >>> shapes = nnx.eval_shape(lambda: densenet(depth=121, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        7978856

    Source:
        Huang, Liu, van der Maaten & Weinberger, "Densely connected convolutional
        networks", 2016, arXiv:1608.06993, table 1; torchvision.models.densenet.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is {depth}, but must be one of {sorted(DEPTHS)}.")
    counts, grows, maps = DEPTHS[depth]
    counts, grows = blocks or counts, growth or grows
    stages: dict[str, nn.Stage] = {
        "conv0": _conv(channels, maps, 7, rngs, stride=2),
        "norm0": nn.BatchNorm(maps),
        "relu0": F.relu,
        "pool0": nn.MaxPool((3, 3), stride=2, padding=1),
    }
    for block, count in enumerate(counts, 1):
        layers = {}
        for i in range(1, count + 1):
            new = _layer(maps, grows, rngs)
            layers[str(i)] = nn.Branches({"before": nn.identity, "new": new})
            maps += grows
        stages[f"block{block}"] = nn.Chain(layers)
        if block < len(counts):
            stages[f"transition{block}"] = _transition(maps, rngs)
            maps //= 2
    stages["norm5"], stages["relu5"] = nn.BatchNorm(maps), F.relu
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = nn.Dense(
        maps, classes, kernel_init=fan_in_uniform, rngs=rngs
    )
    return nn.Chain(stages)


def _conv(
    inputs: int, features: int, window: int, rngs: nnx.Rngs, *, stride: int = 1
) -> nn.Conv:
    return nn.Conv(
        inputs,
        features,
        (window, window),
        stride=stride,
        padding=window // 2,
        use_bias=False,
        kernel_init=he_normal_in,
        rngs=rngs,
    )


def _layer(maps: int, growth: int, rngs: nnx.Rngs) -> nn.Chain:
    return nn.Chain(
        {
            "norm1": nn.BatchNorm(maps),
            "relu1": F.relu,
            "conv1": _conv(maps, 4 * growth, 1, rngs),
            "norm2": nn.BatchNorm(4 * growth),
            "relu2": F.relu,
            "conv2": _conv(4 * growth, growth, 3, rngs),
        }
    )


def _transition(maps: int, rngs: nnx.Rngs) -> nn.Chain:
    return nn.Chain(
        {
            "norm": nn.BatchNorm(maps),
            "relu": F.relu,
            "conv": _conv(maps, maps // 2, 1, rngs),
            "pool": nn.AvgPool((2, 2)),
        }
    )
