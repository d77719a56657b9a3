"""A small network for signals, images and rows of a table."""

from collections.abc import Sequence

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn


def small_cnn(
    *,
    shape: Sequence[int],
    features: Sequence[int] = (16, 32),
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """Rounds of 3-tap convolution, ReLU and max pooling, then a dense classifier.

    Args:
        shape: Of an input: (positions, channels) or (height, width, channels).
        features: The number of feature maps of each round.
        classes: The number of classes.
        rngs: Its stream `params` draws the weights.

    Returns:
        A Chain from `(*batch, *shape)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `shape` has no spatial axis.

    Example:
        >>> row = small_cnn(shape=(30, 1), classes=2, rngs=nnx.Rngs(0))
        >>> print(nn.summary(row, (30, 1)).rows[2].volume)
        (15, 16)

    Source:
        LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
        recognition", 1998, section II.A: local fields, shared weights, subsampling.
    """
    *size, channels = shape
    if not size:
        raise ValueError(
            f"`shape` is {tuple(shape)}, but needs a spatial axis and channels."
        )
    stages: dict[str, nn.Stage] = {}
    for i, width in enumerate(features, 1):
        window = (3,) * len(size)
        stages[f"conv{i}"] = nn.Conv(channels, width, window, padding=1, rngs=rngs)
        stages[f"relu{i}"] = F.relu
        stages[f"pool{i}"] = nn.MaxPool((2,) * len(size), ceil_mode=True)
        size, channels = [-(-length // 2) for length in size], width
    stages["classifier"] = nn.Dense((*size, channels), classes, rngs=rngs)
    return nn.Chain(stages)
