"""VGG: only 3 × 3 convolutions, and many of them."""

from flax import nnx
from jax.nn.initializers import zeros

import cnn_jax.functional as F
from cnn_jax import nn
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
    """Blocks of 3 × 3 convolutions, each halved by a pool; three layers of logits.

    What it changed: depth. Two 3 × 3 convolutions see as far as one of 5 × 5 and three
    as far as one of 7 × 7, with fewer weights and more rectifiers between (section
    2.3); the deeper, the better, up to 19 (table 3). Stages carry the names of the
    authors' models. Before the logits the maps are brought to 7 × 7, so that pictures
    may be of any size from 32 on. Weights are drawn as torchvision does: normal with He
    et al.'s variance, and with a deviation of 0.01 in the logits.

    Args:
        depth: Of 11, 13, 16 or 19 layers with weights.
        batch_norm: Whether batches are normalized before each rectifier, which the
            paper does not and torchvision offers.
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        hidden: The width of the first two layers of logits.
        dropout: The share of values that is left out behind them.
        rngs: Its streams `params` and `dropout` give the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If there is no such depth.

    Example:
        >>> shapes = nnx.eval_shape(lambda: vgg(depth=16, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        138357544

    Source:
        Simonyan & Zisserman, "Very deep convolutional networks for large-scale image
        recognition", 2014, arXiv:1409.1556, table 1.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is {depth}, but must be one of {sorted(DEPTHS)}.")
    stages: dict[str, nn.Stage] = {}
    for block, (count, width) in enumerate(zip(DEPTHS[depth], WIDTHS, strict=True), 1):
        for i in range(1, count + 1):
            stages[f"conv{block}_{i}"] = nn.Conv(
                channels,
                width,
                (3, 3),
                padding=1,
                kernel_init=he_normal_out,
                rngs=rngs,
            )
            if batch_norm:
                stages[f"norm{block}_{i}"] = nn.BatchNorm(width)
            stages[f"relu{block}_{i}"] = F.relu
            channels = width
        stages[f"pool{block}"] = nn.MaxPool((2, 2))
    stages["mean"] = nn.AdaptiveAvgPool((7, 7))
    logits = {6: ((7, 7, 512), hidden), 7: (hidden, hidden), 8: (hidden, classes)}
    for i, (inputs, outputs) in logits.items():
        stages[f"fc{i}"] = nn.Dense(
            inputs, outputs, kernel_init=small_normal, bias_init=zeros, rngs=rngs
        )
        if i < 8:
            stages[f"relu{i}"] = F.relu
            stages[f"drop{i}"] = nn.Dropout(dropout, rngs=rngs)
    return nn.Chain(stages)
