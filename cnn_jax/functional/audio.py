"""Sound as a picture: a column per time chunk, a row per frequency band.

A sound is `(*batch, samples)`, its picture `(*batch, bands, frames)`, with any number
of leading batch axes. Names and conventions are librosa's: frequencies in hertz, sizes
in samples. A network that reads the picture wants an axis for channels behind it,
`picture[..., None]`.

Streaming: a stream has the frames of the whole sound if its blocks are `frame_length`
and a multiple of `hop_length` samples long, and each starts `frame_length - hop_length`
samples before the one ahead ends. Switch off `center`, which would pad every block, and
`top_db`, which asks for the loudest frame.
"""

import math
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from cnn_jax.functional.checks import Number, floating, whole
from cnn_jax.lowering import promote_to_float32

Window = Literal["hann", "hamming", "ones"]
Norm = Literal["slaney"] | None


def frame(
    x: Float[Array, "*batch samples"], frame_length: int, *, hop_length: int
) -> Float[Array, "*batch frame_length frames"]:
    """Cuts a sound into chunks that overlap.

        out[i, t] = x[t·hop_length + i]

    Samples that fill no whole frame are left out: ⌊(n − frame_length) / hop_length⌋ + 1
    frames remain.

    Args:
        x: Audio.
        frame_length: Samples in a frame.
        hop_length: Samples from one frame to the next.

    Returns:
        The frames, one per column.

    Raises:
        TypeError: If `x` is not floating point, or has no axes.
        ValueError: If a frame is longer than the sound, or a length is below 1.

    Example:
        >>> frame(jnp.arange(5.0), 3, hop_length=2)
        Array([[0., 2.],
               [1., 3.],
               [2., 4.]], dtype=float32)

    Source:
        librosa, librosa.util.frame.
    """
    (x,) = floating(x=x)
    if x.ndim == 0:
        raise TypeError("`x` has 0 axes, but needs at least 1, for samples.")
    frame_length = whole(frame_length, "frame_length", minimum=1)
    hop_length = whole(hop_length, "hop_length", minimum=1)
    samples = x.shape[-1]
    if frame_length > samples:
        raise ValueError(
            f"`frame_length` is {frame_length}, but `x` has {samples} samples: cut "
            "shorter frames, or pad the sound."
        )
    frames = (samples - frame_length) // hop_length + 1
    # Whole hops, side by side: strided slices, whose gradient does not scatter.
    hops = -(-frame_length // hop_length)
    wanted = (frames - 1 + hops) * hop_length
    pads = [(0, 0, 0)] * (x.ndim - 1) + [(0, wanted - samples, 0)]
    blocks = lax.pad(x, jnp.zeros((), x.dtype), pads)
    blocks = blocks.reshape(*x.shape[:-1], frames - 1 + hops, hop_length)
    parts = [
        lax.slice_in_dim(blocks, i, i + frames, axis=x.ndim - 1) for i in range(hops)
    ]
    out = jnp.concatenate(parts, axis=-1)[..., :frame_length]
    return jnp.swapaxes(out, -1, -2)


def stft(
    x: Float[Array, "*batch samples"],
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Window = "hann",
    center: bool = True,
) -> Complex[Array, "*batch bands frames"]:
    """The short-time Fourier transform: the frequencies in each chunk of a sound.

        out[k, t] = Σ w[i] · x[t·hop_length + i] · exp(−2πi·k·i / n_fft)

    for the 1 + n_fft/2 frequencies k · sample rate / n_fft.

    Args:
        x: Audio.
        n_fft: Samples in a frame, and its transform.
        hop_length: Samples from one frame to the next; a quarter of the window by
            default (512 in librosa.feature, whatever the window).
        win_length: Samples under the window, in the middle of the frame; all by
            default.
        window: How samples are weighed, from edge to edge.
        center: Whether n_fft/2 zeros are put before and after the sound, so that frame
            t is about sample t · hop_length.

    Returns:
        Complex amplitudes, a row per frequency and a column per frame.

    Raises:
        TypeError: If `x` is not floating point, or has no axes.
        ValueError: If the frame is longer than the sound or shorter than the window, or
            an option is out of range.

    Example:
        >>> wave = jnp.cos(2 * jnp.pi * jnp.arange(64) / 8)  # 8 samples per period.
        >>> jnp.abs(stft(wave, n_fft=32, center=False)).argmax(axis=0)
        Array([4, 4, 4, 4, 4], dtype=int32)

    Source:
        librosa, librosa.stft; Allen, "Short term spectral analysis, synthesis, and
        modification by discrete Fourier transform", 1977.
    """
    (x,) = floating(x=x)
    if x.ndim == 0:
        raise TypeError("`x` has 0 axes, but needs at least 1, for samples.")
    n_fft = whole(n_fft, "n_fft", minimum=1)
    win_length = n_fft if win_length is None else win_length
    win_length = whole(win_length, "win_length", minimum=1)
    hop_length = max(win_length // 4, 1) if hop_length is None else hop_length
    hop_length = whole(hop_length, "hop_length", minimum=1)
    if win_length > n_fft:
        raise ValueError(
            f"`n_fft` is {n_fft}, but the window is {win_length} samples long: "
            "transform at least as many."
        )
    wide = promote_to_float32(x)
    if center:
        wide = jnp.pad(wide, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)])
    frames = jnp.swapaxes(frame(wide, n_fft, hop_length=hop_length), -1, -2)
    weights = jnp.asarray(_window(window, win_length, n_fft), frames.dtype)
    out = jnp.fft.rfft(frames * jnp.broadcast_to(weights, frames.shape), axis=-1)
    return jnp.swapaxes(out, -1, -2)


def spectrogram(
    x: Float[Array, "*batch samples"], *, power: Number = 2.0, **transform: Any
) -> Float[Array, "*batch bands frames"]:
    """How strong each frequency is in each chunk of a sound.

        out[k, t] = |stft[k, t]|^power

    The gradient of a magnitude of 0 is taken as 0.

    Args:
        x: Audio.
        power: 1 for the magnitude, 2 for the energy.
        transform: The options of `stft`.

    Returns:
        A picture, a row per frequency and a column per frame.

    Raises:
        TypeError: As `stft`.
        ValueError: As `stft`, or if `power` is not above 0.

    Example:
        >>> spectrogram(jnp.ones(4), n_fft=4, window="ones", center=False)[:, 0]
        Array([16.,  0.,  0.], dtype=float32)

    Source:
        librosa, librosa.feature.melspectrogram, whose power this is.
    """
    if not power > 0:
        raise ValueError(f"`power` is {power}, but must be above 0.")
    amplitude = stft(x, **transform)
    energy = amplitude.real**2 + amplitude.imag**2
    if power != 2:
        root = jnp.where(energy == 0, 1, energy) ** (power / 2)
        energy = jnp.where(energy == 0, 0, root)
    return energy.astype(jnp.asarray(x).dtype)


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
    """Triangles that gather frequencies into bands as wide as the ear's.

    The centres are equally far apart in mel, where

        HTK     mel(f) = 2595 · log₁₀(1 + f / 700)
        Slaney  mel(f) = 3·f / 200 below 1000 Hz, and 15 + 27 · log(f / 1000) / log 6.4

    and each triangle reaches from the centre before to the centre behind.

    Args:
        sr: Samples per second.
        n_fft: Of the transform whose frequencies are gathered.
        n_mels: How many bands.
        fmin: Where the first triangle begins, in hertz.
        fmax: Where the last one ends; at half the sample rate by default.
        htk: Which of the two scales.
        norm: `"slaney"` gives every triangle the same area, None the same height, 1.

    Returns:
        The weights, a row per band and a column per frequency.

    Raises:
        TypeError: If a number is of the wrong kind.
        ValueError: If the bands do not lie between 0 and half the sample rate, there is
            one without a frequency, or an option is out of range.

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
            f"{sr / 2} alone."
        )
    if not 0 <= fmin < fmax:
        raise ValueError(f"`fmin` is {fmin}, but must be from 0 to below {fmax}.")
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
            f"{n_fft} are {sr / n_fft:g} Hz apart, so that {empty} bands would have "
            "none: ask for fewer bands or a larger `n_fft`."
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
    """A sound as the ear has it: bands in mel, loudness in decibels.

        out = 10 · log₁₀ max(mel_filterbank · spectrogram, amin)

    Args:
        x: Audio.
        sr: Samples per second.
        n_fft: Samples in a frame.
        n_mels: How many bands, as are the four that follow options of `mel_filterbank`.
        fmin: Where the first band begins.
        fmax: Where the last one ends.
        htk: Which scale.
        norm: Of the bands.
        power: Of the spectrogram.
        amin: What counts as silence.
        top_db: How far below the loudest place of its sound a place may lie; None for
            no floor. (librosa takes the loudest of all sounds that it is given.)
        transform: The other options of `stft`.

    Returns:
        A picture, a row per band and a column per frame.

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
    how = {"fmin": fmin, "fmax": fmax, "htk": htk, "norm": norm}
    bank = mel_filterbank(sr=sr, n_fft=n_fft, n_mels=n_mels, **how)
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
    """Loudness from 0 to 1, measured against the loudest place of the same sound.

        out = max(0, 1 + (x − max(peak, min_peak_db)) / top_db)

    However loud a sound was recorded, its picture is the same; and silence is exactly
    0, as is what convolutions see beyond the edges.

    Args:
        x: Images of sounds in decibels, such as `log_mel` gives.
        top_db: How far below the peak is silence.
        min_peak_db: The lowest peak that is brought to 1; softer sounds stay softer.

    Returns:
        Images of the same size.

    Raises:
        TypeError: If `x` is not floating point, or has fewer than 2 axes.
        ValueError: If `top_db` is not above 0.

    Example:
        >>> peak_norm(jnp.array([[10.0, -30.0, -70.0, -140.0]]))
        Array([[1. , 0.5, 0. , 0. ]], dtype=float32)

    Source:
        librosa, librosa.power_to_db with `ref=np.max`, which is where 0 dB is here 1.
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
    """The shape of a sound's spectrum in few numbers: mel-frequency cepstrum.

    The orthonormal cosine transform of every column of `log_mel`,

        out[k] = √(2/M) · Σ log_mel[m] · cos(π·k·(2m + 1) / 2M),  row 0 with √(1/M)

    Args:
        x: Audio.
        sr: Samples per second.
        n_mfcc: How many numbers per frame.
        n_mels: How many bands M they come from.
        options: The other options of `log_mel`.

    Returns:
        A row per number and a column per frame.

    Raises:
        TypeError: As `log_mel`.
        ValueError: As `log_mel`, or if more numbers than bands are asked for.

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
        raise ValueError(f"`n_mfcc` is {n_mfcc}, but there are {n_mels} bands alone.")
    bands = log_mel(x, sr=sr, n_mels=n_mels, **options)
    k, m = np.arange(n_mfcc)[:, None], np.arange(n_mels)
    cosines = np.sqrt(2 / n_mels) * np.cos(np.pi * k * (2 * m + 1) / (2 * n_mels))
    cosines[0] = math.sqrt(1 / n_mels)
    wide = promote_to_float32(bands)
    out = jnp.einsum(
        "km,...mt->...kt", jnp.asarray(cosines, wide.dtype), wide, precision="highest"
    )
    return out.astype(bands.dtype)


def _window(name: str, win_length: int, n_fft: int) -> np.ndarray:
    """The window, periodic, in the middle of a frame."""
    turn = 2 * np.pi * np.arange(win_length) / win_length
    shapes = {
        "hann": 0.5 - 0.5 * np.cos(turn),
        "hamming": 0.54 - 0.46 * np.cos(turn),
        "ones": np.ones(win_length),
    }
    if name not in shapes:
        raise ValueError(f"`window` is {name!r}, but must be one of {list(shapes)}.")
    before = (n_fft - win_length) // 2
    return np.pad(shapes[name], (before, n_fft - win_length - before))


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
