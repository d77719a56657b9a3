"""A network without convolutions: every value logits for every hidden category."""

from collections.abc import Sequence

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn


def mlp(
    *,
    shape: int | Sequence[int] = 30,
    hidden: Sequence[int] = (128, 64),
    classes: int = 10,
    dropout: float = 0.0,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """Layers of logits, rectified: what tables ask for, and the rival of every CNN.

    It does not know which values are neighbours: with its columns in another order, a
    table is as good to it as before.

    Args:
        shape: Of what it reads: how many columns, or (height, width, channels).
        hidden: How many hidden categories each layer logits for.
        classes: How many categories there are to vote for.
        dropout: The share of values that is left out behind each hidden layer.
        rngs: Its streams `params` and `dropout` give the keys.

    Returns:
        A Chain from `(*batch, *shape)` to `(*batch, classes)` logits.

    Example:
        >>> net = mlp(shape=30, hidden=(8,), classes=2, rngs=nnx.Rngs(0))
        >>> nn.summary(net, (30,)).parameters == 30 * 8 + 8 + 8 * 2 + 2
        True

    Source:
        Rumelhart, Hinton & Williams, "Learning representations by back-propagating
        errors", 1986.
    """
    reads = (shape,) if isinstance(shape, int) else tuple(shape)
    stages: dict[str, nn.Stage] = {}
    for i, width in enumerate(hidden, 1):
        stages[f"hidden{i}"] = nn.Dense(reads, width, rngs=rngs)
        stages[f"relu{i}"] = F.relu
        if dropout:
            stages[f"drop{i}"] = nn.Dropout(dropout, rngs=rngs)
        reads = (width,)
    stages["classifier"] = nn.Dense(reads, classes, rngs=rngs)
    return nn.Chain(stages)
