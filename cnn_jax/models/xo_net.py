"""The network of the worked example: is this picture an X or an O?"""

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn


def xo_net(
    *,
    size: int = 28,
    features: tuple[int, int] = (8, 16),
    window: int = 3,
    classes: int = 2,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """Two rounds of convolution, ReLU and max pooling, then a dense classifier.

    Each convolution keeps the spatial size, and each pooling halves it, rounded up
    (`ceil_mode`).

    Args:
        size: Height and width of the grey images.
        features: The number of feature maps of each convolution.
        window: Height and width of the kernels.
        classes: The number of classes.
        rngs: Its stream `params` draws the weights.

    Returns:
        A Chain from `(*batch, size, size, 1)` to `(*batch, classes)` logits.

    Example:
        >>> import jax.numpy as jnp
        >>> net = xo_net(size=9, rngs=nnx.Rngs(0))
        >>> net.run(jnp.zeros((9, 9, 1)), upto="pool2").shape
        (3, 3, 16)

    Source:
        Rohrer, "How Convolutional Neural Networks Work", 2016.
    """
    left = -(-size // 4)
    return nn.Chain(
        {
            "conv1": nn.Conv(
                1, features[0], (window, window), padding="same", rngs=rngs
            ),
            "relu1": F.relu,
            "pool1": nn.MaxPool((2, 2), ceil_mode=True),
            "conv2": nn.Conv(
                features[0], features[1], (window, window), padding="same", rngs=rngs
            ),
            "relu2": F.relu,
            "pool2": nn.MaxPool((2, 2), ceil_mode=True),
            "classifier": nn.Dense((left, left, features[1]), classes, rngs=rngs),
        }
    )
