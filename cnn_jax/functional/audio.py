"""Features of audio: bands in mel, decibels and cepstral coefficients.

Audio is `(*batch, samples)`, its features `(*batch, bands, frames)`, with any number of
leading batch axes. Names and conventions are librosa's: frequencies in hertz, sizes in
samples. A network of convolutions needs one more axis for channels,
`features[..., None]`.

Streaming works as in `fourier.py`, with `top_db=None`: `top_db` needs the loudest frame
of the whole signal.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jax.scipy.fft
import numpy as np
from jaxtyping import Array, Float

from cnn_jax.functional.checks import Number, floating, whole
from cnn_jax.functional.fourier import Window as Window
from cnn_jax.functional.fourier import spectrogram
from cnn_jax.lowering import promote_to_float32

Norm = Literal["slaney"] | None


def mel_filterbank(
    *,
    sr: Number,
    n_fft: int,
    n_mels: int = 128,
    fmin: Number = 0.0,
    fmax: Number | None = None,
    htk: bool = False,
    norm: Norm = "slaney",
) -> Float[Array, "n_mels bands"]:
    """Weights of triangular filters that sum frequencies into mel bands.

    The centres of the triangles are equally spaced in mel, where

        HTK     mel(f) = 2595 · log₁₀(1 + f / 700)
        Slaney  mel(f) = 3·f / 200 below 1000 Hz, and 15 + 27 · log(f / 1000) / log 6.4

    and each triangle spans from the previous centre to the next one.

    Args:
        sr: Samples per second.
        n_fft: Samples in a frame of the `stft` whose frequencies are summed.
        n_mels: Number of bands.
        fmin: Lower end of the first triangle, in hertz.
        fmax: Upper end of the last triangle, in hertz; half the sample rate by default.
        htk: Whether the scale is HTK's or Slaney's.
        norm: `"slaney"` gives every triangle the same area, None the same height, 1.

    Returns:
        The weights, a row per band and a column per frequency.

    Raises:
        TypeError: If a number is of the wrong kind.
        ValueError: If the bands do not lie between 0 and half the sample rate, a band
            contains no frequency, or an option is out of range.

    Example:
        >>> mel_filterbank(sr=8, n_fft=8, n_mels=1, norm=None).round(2)
        Array([[0. , 0.5, 1. , 0.5, 0. ]], dtype=float32)

    Source:
        librosa, librosa.filters.mel; Slaney, "Auditory Toolbox", 1998; Young et al.,
        "The HTK Book", section 5.4.
    """
    n_fft = whole(n_fft, "n_fft", minimum=1)
    n_mels = whole(n_mels, "n_mels", minimum=1)
    if not sr > 0:
        raise ValueError(f"`sr` is {sr}, but must be above 0.")
    fmax = sr / 2 if fmax is None else fmax
    if fmax > sr / 2:
        raise ValueError(
            f"`fmax` is {fmax}, but a sample rate of {sr} holds frequencies up to "
            f"{sr / 2} only: lower `fmax`."
        )
    if not 0 <= fmin < fmax:
        raise ValueError(f"`fmin` is {fmin}, but must be at least 0 and below {fmax}.")
    if norm not in ("slaney", None):
        raise ValueError(f"`norm` is {norm!r}, but must be 'slaney' or None.")
    ends = np.linspace(_to_mel(fmin, htk), _to_mel(fmax, htk), n_mels + 2)
    hertz = _to_hertz(ends, htk)
    bands = (
        np.linspace(0, sr / 2, 1 + n_fft // 2)
        if n_fft % 2 == 0
        else (np.arange(1 + n_fft // 2) * sr / n_fft)
    )
    rise = (bands - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    fall = (hertz[2:, None] - bands) / np.diff(hertz)[1:, None]
    weights = np.maximum(0, np.minimum(rise, fall))
    empty = int((weights.max(axis=1) == 0).sum())
    if empty:
        raise ValueError(
            f"`n_mels` is {n_mels}, but the frequencies of `sr` {sr} and `n_fft` "
            f"{n_fft} are {sr / n_fft:g} Hz apart, so {empty} bands contain none: use "
            "fewer bands or a larger `n_fft`."
        )
    if norm == "slaney":
        weights *= (2 / (hertz[2:] - hertz[:-2]))[:, None]
    return jnp.asarray(weights, jnp.float32)


def log_mel(
    x: Float[Array, "*batch samples"],
    *,
    sr: Number,
    n_fft: int = 2048,
    n_mels: int = 128,
    fmin: Number = 0.0,
    fmax: Number | None = None,
    htk: bool = False,
    norm: Norm = "slaney",
    power: Number = 2.0,
    amin: Number = 1e-10,
    top_db: Number | None = 80.0,
    **transform: Any,
) -> Float[Array, "*batch n_mels frames"]:
    """Mel spectrogram in decibels.

        out = 10 · log₁₀ max(mel_filterbank · spectrogram, amin)

    Args:
        x: Audio.
        sr: Samples per second.
        n_fft: Samples in a frame.
        n_mels: Number of bands. This and the next four are options of
            `mel_filterbank`.
        fmin: Lower end of the first band, in hertz.
        fmax: Upper end of the last band, in hertz.
        htk: Whether the scale is HTK's or Slaney's.
        norm: Normalization of the bands.
        power: Power of the spectrogram: 1 for the magnitude, 2 for the energy.
        amin: Smallest value before the logarithm.
        top_db: Values are at most this far below the maximum of their signal; None
            for no limit. (librosa takes the maximum of the whole batch.)
        transform: The other options of `stft`.

    Returns:
        Decibels, a row per band and a column per frame.

    Raises:
        TypeError: As `stft`.
        ValueError: As `stft` and `mel_filterbank`, or if `amin` is not above 0 or
            `top_db` is negative.

    Example:
        >>> log_mel(jnp.zeros(8000), sr=8000, n_fft=256, n_mels=40).shape
        (40, 126)

    Source:
        librosa, librosa.feature.melspectrogram and librosa.power_to_db.
    """
    if not amin > 0:
        raise ValueError(f"`amin` is {amin}, but must be above 0.")
    if top_db is not None and not top_db >= 0:
        raise ValueError(f"`top_db` is {top_db}, but must be at least 0, or None.")
    (x,) = floating(x=x)
    energy = spectrogram(promote_to_float32(x), power=power, n_fft=n_fft, **transform)
    scale = {"fmin": fmin, "fmax": fmax, "htk": htk, "norm": norm}
    bank = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels, **scale)
    bands = jnp.einsum(
        "mk,...kt->...mt", bank.astype(energy.dtype), energy, precision="highest"
    )
    out = 10 * jnp.log10(jnp.maximum(bands, amin))
    if top_db is not None:
        floor = jnp.max(out, axis=(-2, -1), keepdims=True) - top_db
        out = jnp.maximum(out, floor)
    return out.astype(x.dtype)


def peak_norm(
    x: Float[Array, "*batch bands frames"],
    *,
    top_db: Number = 80.0,
    min_peak_db: Number = -50.0,
) -> Float[Array, "*batch bands frames"]:
    """Rescales decibels to 0 … 1, relative to the peak of each signal.

        out = max(0, 1 + (x − max(peak, min_peak_db)) / top_db)

    The result does not depend on the recording level, and silence is exactly 0, the
    value of the zero padding of a convolution.

    Args:
        x: Spectrograms in decibels, such as `log_mel` returns.
        top_db: Values this far below the peak become 0.
        min_peak_db: The lowest peak that becomes 1; signals with a lower peak stay
            below 1.

    Returns:
        Spectrograms of the same shape.

    Raises:
        TypeError: If `x` is not floating point, or has fewer than 2 axes.
        ValueError: If `top_db` is not above 0.

    Example:
        >>> peak_norm(jnp.array([[10.0, -30.0, -70.0, -140.0]]))
        Array([[1. , 0.5, 0. , 0. ]], dtype=float32)

    Source:
        librosa, librosa.power_to_db with `ref=np.max`, whose 0 dB is 1 here.
    """
    (x,) = floating(x=x)
    if x.ndim < 2:
        raise TypeError(
            f"`x` has {x.ndim} axes, but needs at least 2, for bands and frames."
        )
    if not top_db > 0:
        raise ValueError(f"`top_db` is {top_db}, but must be above 0.")
    wide = promote_to_float32(x)
    peak = jnp.maximum(jnp.max(wide, axis=(-2, -1), keepdims=True), min_peak_db)
    return jnp.maximum(0, 1 + (wide - peak) / top_db).astype(x.dtype)


def mfcc(
    x: Float[Array, "*batch samples"],
    *,
    sr: Number,
    n_mfcc: int = 20,
    n_mels: int = 128,
    **options: Any,
) -> Float[Array, "*batch n_mfcc frames"]:
    """Mel-frequency cepstral coefficients: the shape of the spectrum in few numbers.

    The orthonormal cosine transform of every column of `log_mel`,

        out[k] = √(2/M) · Σ log_mel[m] · cos(π·k·(2m + 1) / 2M),  row 0 with √(1/M)

    Args:
        x: Audio.
        sr: Samples per second.
        n_mfcc: Number of coefficients per frame.
        n_mels: Number of bands, M.
        options: The other options of `log_mel`.

    Returns:
        A row per coefficient and a column per frame.

    Raises:
        TypeError: As `log_mel`.
        ValueError: As `log_mel`, or if `n_mfcc` is larger than `n_mels`.

    Example:
        >>> mfcc(jnp.zeros(8000), sr=8000, n_mfcc=13, n_fft=256, n_mels=40).shape
        (13, 126)

    Source:
        librosa, librosa.feature.mfcc; Davis & Mermelstein, "Comparison of parametric
        representations for monosyllabic word recognition", 1980, equation 1.
    """
    n_mels = whole(n_mels, "n_mels", minimum=1)
    n_mfcc = whole(n_mfcc, "n_mfcc", minimum=1)
    if n_mfcc > n_mels:
        raise ValueError(
            f"`n_mfcc` is {n_mfcc}, but there are only {n_mels} bands: use fewer "
            "coefficients or a larger `n_mels`."
        )
    bands = log_mel(x, sr=sr, n_mels=n_mels, **options)
    out = jax.scipy.fft.dct(promote_to_float32(bands), axis=-2, norm="ortho")
    return out[..., :n_mfcc, :].astype(bands.dtype)


def _to_mel(hertz: Number, htk: bool) -> float:
    if htk:
        return 2595 * math.log10(1 + hertz / 700)
    if hertz < 1000:
        return 3 * hertz / 200
    return 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def _to_hertz(mel: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))
