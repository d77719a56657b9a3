"""LeNet-5, the network that read the digits on cheques."""

from collections.abc import Callable

from flax import nnx
from jax import Array

import cnn_jax.functional as F
from cnn_jax import nn


def lenet5(
    *,
    size: int = 32,
    channels: int = 1,
    classes: int = 10,
    features: tuple[int, int, int] = (6, 16, 120),
    hidden: int = 84,
    activation: Callable[[Array], Array] = F.tanh,
    pool: Callable[[tuple[int, int]], nn.Stage] = nn.AvgPool,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """Two rounds of convolution and subsampling, a convolution, two dense layers.

    The layers and sizes are the paper's, with its names. Three things are simpler:
    every map of C3 reads all of S2, subsampling has no weights of its own, and the
    output is a logit per class instead of a distance. At the default sizes it has
    61,706 parameters.

    Args:
        size: Height and width of the images; 32 in the paper.
        channels: Channels of the images.
        classes: The number of classes.
        features: The number of feature maps of C1, C3 and C5.
        hidden: The number of outputs of F6.
        activation: Follows C1, C3, C5 and F6.
        pool: Makes the stages S2 and S4 from their window.
        rngs: Its stream `params` draws the weights.

    Returns:
        A Chain from `(*batch, size, size, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `size` is below 32, where the window of C5 does not fit.

    Example:
        >>> print(nn.summary(lenet5(rngs=nnx.Rngs(0)), (32, 32, 1)).parameters)
        61706

    Source:
        LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
        recognition", 1998, section II.B.
    """
    left = ((size - 4) // 2 - 4) // 2 - 4
    if left < 1:
        raise ValueError(f"`size` is {size}, but LeNet-5 needs at least 32.")
    c1, c3, c5 = features
    return nn.Chain(
        {
            "c1": nn.Conv(channels, c1, (5, 5), rngs=rngs),
            "active1": activation,
            "s2": pool((2, 2)),
            "c3": nn.Conv(c1, c3, (5, 5), rngs=rngs),
            "active3": activation,
            "s4": pool((2, 2)),
            "c5": nn.Conv(c3, c5, (5, 5), rngs=rngs),
            "active5": activation,
            "f6": nn.Dense((left, left, c5), hidden, rngs=rngs),
            "active6": activation,
            "classifier": nn.Dense(hidden, classes, rngs=rngs),
        }
    )
