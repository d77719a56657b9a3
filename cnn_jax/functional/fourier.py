"""Short-time Fourier transform: frames of a signal and their frequencies.

Audio is `(*batch, samples)`, a spectrogram `(*batch, bands, frames)`, with any number
of leading batch axes. Names and conventions are librosa's: sizes in samples.

Streaming: blocks of a stream have the frames of the whole signal if each block is
`frame_length` plus a multiple of `hop_length` samples long and starts
`frame_length - hop_length` samples before the end of the previous one. Use
`center=False`, because `center` pads every block.
"""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from cnn_jax.functional.checks import Number, floating, whole
from cnn_jax.lowering import promote_to_float32

Window = Literal["hann", "hamming", "ones"]

# The names that SciPy has for them.
_SCIPY_WINDOWS = {"hann": "hann", "hamming": "hamming", "ones": "boxcar"}


def frame(
    x: Float[Array, "*batch samples"], frame_length: int, *, hop_length: int
) -> Float[Array, "*batch frame_length frames"]:
    """Cuts a signal into overlapping frames.

        out[i, t] = x[t·hop_length + i]

    The number of frames is ⌊(n − frame_length) / hop_length⌋ + 1. Samples after the
    last whole frame are dropped.

    Args:
        x: Audio.
        frame_length: Samples in a frame.
        hop_length: Samples from one frame to the next.

    Returns:
        The frames, one per column.

    Raises:
        TypeError: If `x` is not floating point, or has no axes.
        ValueError: If a frame is longer than the signal, or a length is below 1.

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
            "shorter frames, or pad the signal."
        )
    frames = (samples - frame_length) // hop_length + 1
    # Frames from strided slices of whole hops: their gradient uses no scatter.
    hops = -(-frame_length // hop_length)
    padded = (frames - 1 + hops) * hop_length
    pads = [(0, 0, 0)] * (x.ndim - 1) + [(0, padded - samples, 0)]
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
    """Short-time Fourier transform: the frequencies in each frame of a signal.

        out[k, t] = Σ w[i] · x[t·hop_length + i] · exp(−2πi·k·i / n_fft)

    for the 1 + n_fft/2 frequencies k · sample rate / n_fft.

    Args:
        x: Audio.
        n_fft: Samples in a frame.
        hop_length: Samples from one frame to the next; a quarter of the window by
            default (512 in librosa.feature, whatever the window).
        win_length: Samples under the window, in the middle of the frame; `n_fft` by
            default.
        window: Weights of the samples in a frame. `"ones"` weighs all alike.
        center: Whether n_fft/2 zeros are added before and after the signal, so that
            frame t is centred at sample t · hop_length.

    Returns:
        Complex amplitudes, a row per frequency and a column per frame.

    Raises:
        TypeError: If `x` is not floating point, or has no axes.
        ValueError: If the frame is longer than the signal or shorter than the window,
            or an option is out of range.

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
            f"`n_fft` is {n_fft}, but the window is {win_length} samples long: use a "
            "larger `n_fft` or a smaller `win_length`."
        )
    wide = promote_to_float32(x)
    if center:
        wide = jnp.pad(wide, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)])
    frames = jnp.swapaxes(frame(wide, n_fft, hop_length=hop_length), -1, -2)
    weights = jnp.asarray(window_values(window, win_length, n_fft), frames.dtype)
    out = jnp.fft.rfft(frames * jnp.broadcast_to(weights, frames.shape), axis=-1)
    return jnp.swapaxes(out, -1, -2)


def spectrogram(
    x: Float[Array, "*batch samples"], *, power: Number = 2.0, **transform: Any
) -> Float[Array, "*batch bands frames"]:
    """Magnitude or power of each frequency in each frame of a signal.

        out[k, t] = |stft[k, t]|^power

    The gradient of a magnitude of 0 is taken as 0.

    Args:
        x: Audio.
        power: 1 for the magnitude, 2 for the energy.
        transform: The options of `stft`.

    Returns:
        The spectrogram, a row per frequency and a column per frame.

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


def window_values(name: str, win_length: int, n_fft: int) -> np.ndarray:
    """The periodic window, padded with zeros on both sides to `n_fft` samples."""
    from scipy.signal import get_window  # Slow to import, used only here.

    if name not in _SCIPY_WINDOWS:
        raise ValueError(
            f"`window` is {name!r}, but must be one of {list(_SCIPY_WINDOWS)}."
        )
    before = (n_fft - win_length) // 2
    values = get_window(_SCIPY_WINDOWS[name], win_length)
    return np.pad(values, (before, n_fft - win_length - before))
