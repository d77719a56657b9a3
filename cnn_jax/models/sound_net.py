"""A sound becomes a picture, and the picture is read like any other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax import nn


@dataclass(frozen=True)
class Silence:
    """Puts silence behind a sound, so that no frame that it reaches into is missing."""

    samples: int

    def __call__(
        self, x: Float[Array, "*batch samples"]
    ) -> Float[Array, "*batch more"]:
        """The sound, longer by so many samples."""
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, self.samples)])


def sound_net(
    *,
    rate: int = 16_000,
    bands: int = 40,
    features: Sequence[int] = (16, 32, 64),
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """A log-mel spectrogram, a small stack of convolutions over it, and logits.

    The spectrogram is a stage like any other: about 32 ms of sound, a power of two in
    samples, make a column, half of that later a new one begins, and each has a row per
    frequency band. Loudness is measured against the loudest place, so that it does not
    matter how loud a sound was recorded.

    Signals may be of any length. Those of several lengths make a batch when they are
    filled up with zeros, for zeros at the end change no vote: they are silence, which
    is 0 in the picture, is kept at 0 behind every convolution, and never is the
    largest of the last maps, of which that alone is kept.

    Args:
        rate: Samples per second of the sounds.
        bands: Rows of the spectrogram.
        features: How many each round of convolution and pooling learns.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, samples)` to `(*batch, classes)` logits.

    Raises:
        ValueError: When called, if the rate is too low for so many bands.

    Example:
        >>> net = sound_net(rate=8000, classes=3, rngs=nnx.Rngs(0))
        >>> nn.summary(net, (8000,)).rows[1].volume
        (40, 65, 1)

    Source:
        Hershey et al., "CNN architectures for large-scale audio classification", 2016,
        arXiv:1609.09430, section 3.1, whose columns are 25 ms long and 10 ms apart.
    """
    window = 2 ** round(math.log2(0.032 * rate))
    stages: dict[str, nn.Stage] = {
        "silence": Silence(window),
        # What digital silence comes to, −140 dB, is more than `top_db` below `least`,
        # so that it is exactly 0 behind the next stage.
        "spectrogram": nn.LogMel(
            sr=rate,
            n_fft=window,
            hop_length=window // 2,
            n_mels=bands,
            amin=1e-14,
            top_db=None,
        ),
        "level": nn.PeakNorm(top_db=80.0, min_peak_db=-50.0),
    }
    channels = 1
    for i, width in enumerate(features, 1):
        conv = nn.Conv(channels, width, (3, 3), padding=1, rngs=rngs)
        body = nn.Chain({"conv": conv, "relu": F.relu})
        stages[f"round{i}"] = nn.Masked(body)
        stages[f"pool{i}"] = nn.MaxPool((2, 2), ceil_mode=True)
        channels = width
    stages["loudest"] = nn.GlobalMaxPool()
    stages["classifier"] = nn.Dense(channels, classes, rngs=rngs)
    return nn.Chain(stages)
