"""A small network for signals, pictures and rows alike, to ask what order is worth."""

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
    """Convolve over three places along each axis, rectify, pool; again; then logits.

    Args:
        shape: Of what it reads: (places, channels) or (height, width, channels).
        features: How many each round learns.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, *shape)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `shape` has no place.

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
            f"`shape` is {tuple(shape)}, but must have places and channels."
        )
    stages: dict[str, nn.Stage] = {}
    for i, width in enumerate(features, 1):
        window = (3,) * len(size)
        stages[f"conv{i}"] = nn.Conv(channels, width, window, padding=1, rngs=rngs)
        stages[f"relu{i}"] = F.relu
        stages[f"pool{i}"] = nn.MaxPool((2,) * len(size), ceil_mode=True)
        size, channels = [-(-places // 2) for places in size], width
    stages["classifier"] = nn.Dense((*size, channels), classes, rngs=rngs)
    return nn.Chain(stages)
