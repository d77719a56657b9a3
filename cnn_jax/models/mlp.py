"""A network of dense layers, without convolutions."""

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
    """Dense layers with ReLU: the default for tables, and the baseline of every CNN.

    The order of its inputs does not matter: it learns a table with permuted columns
    equally well.

    Args:
        shape: Of an input: the number of columns, or (height, width, channels).
        hidden: The number of outputs of each hidden layer.
        classes: The number of classes.
        dropout: The dropout rate after each hidden layer.
        rngs: Its streams `params` and `dropout` give the random keys.

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
