"""A network for audio: a spectrogram, and convolutions over it."""

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
    """Appends silence, so that the last frames are complete."""

    samples: int

    def __call__(
        self, x: Float[Array, "*batch samples"]
    ) -> Float[Array, "*batch more"]:
        """The signal with `samples` zeros appended."""
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, self.samples)])


def sound_net(
    *,
    rate: int = 16_000,
    bands: int = 40,
    features: Sequence[int] = (16, 32, 64),
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """A log-mel spectrogram, convolutions over it, global max pooling, a classifier.

    The spectrogram is a stage of the network. A frame has about 32 ms, a power of two
    in samples, and overlaps the next by half. Levels are relative to the loudest value,
    so the logits do not depend on the loudness of a recording.

    Signals may have any length. Signals of several lengths are padded with zeros to
    make a batch; zeros at the end do not change the logits: silence is 0 in the
    spectrogram, is masked to 0 after every convolution, and is never the maximum of the
    last feature maps.

    Args:
        rate: Samples per second.
        bands: Frequency bands of the spectrogram.
        features: The number of feature maps of each round of convolution and pooling.
        classes: The number of classes.
        rngs: Its stream `params` draws the weights.

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
