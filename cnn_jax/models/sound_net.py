"""A sound becomes a picture, and the picture is read like any other."""

import math
from collections.abc import Sequence

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn


def sound_net(
    *,
    rate: int = 16_000,
    bands: int = 40,
    features: Sequence[int] = (16, 32, 64),
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """A log-mel spectrogram, a small stack of convolutions over it, and votes.

    The spectrogram is a stage like any other: about 32 ms of sound, a power of two in
    samples, make a column, half of that later a new one begins, and each has a row per
    frequency band. Each picture is brought to mean 0 and variance 1, so that loudness
    does not matter. The last maps are averaged, so sounds may be of any length.

    Args:
        rate: Samples per second of the sounds.
        bands: Rows of the spectrogram.
        features: How many each round of convolution and pooling learns.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, samples)` to `(*batch, classes)` votes.

    Example:
        >>> net = sound_net(rate=8000, classes=3, rngs=nnx.Rngs(0))
        >>> nn.summary(net, (8000,)).rows[0].volume
        (40, 63, 1)

    Source:
        Hershey et al., "CNN architectures for large-scale audio classification", 2016,
        arXiv:1609.09430, section 3.1, whose columns are 25 ms long and 10 ms apart.
    """
    window = 2 ** round(math.log2(0.032 * rate))
    stages: dict[str, nn.Stage] = {
        "spectrogram": nn.LogMel(
            sr=rate, n_fft=window, hop_length=window // 2, n_mels=bands
        ),
        "level": nn.InstanceNorm(1, use_scale=False, use_bias=False),
    }
    channels = 1
    for i, width in enumerate(features, 1):
        stages[f"conv{i}"] = nn.Conv(channels, width, (3, 3), padding=1, rngs=rngs)
        stages[f"norm{i}"] = nn.BatchNorm(width)
        stages[f"relu{i}"] = F.relu
        stages[f"pool{i}"] = nn.MaxPool((2, 2), ceil_mode=True)
        channels = width
    stages["mean"] = nn.GlobalAvgPool()
    stages["votes"] = nn.Dense(channels, classes, rngs=rngs)
    return nn.Chain(stages)
