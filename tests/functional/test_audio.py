import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import fft

import cnn_jax.functional as F
from cnn_jax import nn
from tests.helpers import assert_close, compiled, draw


def definition(x, *, n_fft, hop, window, center):
    """The transform as a sum, one frame and one frequency at a time, in float64."""
    x = np.float64(x)
    x = np.pad(x, n_fft // 2) if center else x
    before = (n_fft - len(window)) // 2
    window = np.pad(window, (before, n_fft - len(window) - before))
    frames = (len(x) - n_fft) // hop + 1
    i, out = np.arange(n_fft), np.zeros((1 + n_fft // 2, frames), complex)
    for k in range(1 + n_fft // 2):
        for t in range(frames):
            turn = np.exp(-2j * np.pi * k * i / n_fft)
            out[k, t] = np.sum(window * x[t * hop : t * hop + n_fft] * turn)
    return out


def hann(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


@pytest.mark.parametrize("samples", [7, 16, 17, 23])
@pytest.mark.parametrize("hop", [1, 3, 7, 9])
def test_frames(rng, samples, hop):
    x = draw(rng, 2, samples)
    frames, wave = (samples - 7) // hop + 1, np.asarray(x)
    want = [wave[:, t * hop : t * hop + 7] for t in range(frames)]
    np.testing.assert_array_equal(F.frame(x, 7, hop_length=hop), np.stack(want, -1))


def test_frames_of_a_stream_equal_those_of_the_whole_signal(rng):
    x, options = draw(rng, 60), dict(hop_length=3)
    ends = 20, 35, 60  # Blocks of 8 + 12, 8 + 12 and 8 + 22 samples, 5 of them shared.
    starts = 0, *(end - (8 - 3) for end in ends[:-1])
    blocks = [x[start:end] for start, end in zip(starts, ends, strict=True)]
    frames = [F.frame(block, 8, **options) for block in blocks]
    whole = F.frame(x, 8, **options)
    np.testing.assert_array_equal(jnp.concatenate(frames, axis=1), whole)
    transform = dict(n_fft=8, center=False, **options)
    parts = [F.stft(block, **transform) for block in blocks]
    assert_close(
        jnp.abs(jnp.concatenate(parts, axis=1)), jnp.abs(F.stft(x, **transform))
    )


@pytest.mark.parametrize("n_fft", [16, 15])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("win_length", "hop"), [(None, 4), (11, None), (6, 5)])
def test_stft_agrees_with_the_definition(rng, n_fft, center, win_length, hop):
    x = draw(rng, 3, 1, 50)
    options = dict(n_fft=n_fft, hop_length=hop, win_length=win_length, center=center)
    got = compiled(F.stft)(x, **options)
    length = win_length or n_fft
    hop = hop or length // 4
    for one, out in zip(x, got, strict=True):
        want = definition(
            one[0], n_fft=n_fft, hop=hop, window=hann(length), center=center
        )
        assert out.shape == (1, *want.shape)
        assert np.abs(out[0] - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("window", ["hann", "hamming", "ones"])
@pytest.mark.parametrize("power", [1, 2, 0.5])
def test_spectrogram_is_a_power(rng, window, power):
    x = draw(rng, 50)
    shapes = {"hann": hann(16), "ones": np.ones(16), "hamming": 0.08 + 0.92 * hann(16)}
    want = definition(x, n_fft=16, hop=4, window=shapes[window], center=True)
    got = F.spectrogram(x, n_fft=16, window=window, power=power)
    assert_close(got, np.abs(want) ** power)


@pytest.mark.full
def test_windows_import_scipy_signal_when_used():
    code = "import sys, cnn_jax.functional; print('scipy.signal' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_silence_has_gradient_0():
    gradient = jax.jit(jax.grad(lambda x: F.spectrogram(x, n_fft=8, power=1).sum()))(
        jnp.zeros(20)
    )
    np.testing.assert_array_equal(gradient, np.zeros(20))
    gradient = jax.grad(lambda x: F.log_mel(x, sr=100, n_fft=8, n_mels=2).sum())
    assert jnp.isfinite(gradient(jnp.zeros(20))).all()


@pytest.mark.parametrize("htk", [False, True])
def test_mel_triangles(htk):
    bank = np.float64(
        F.mel_filterbank(sr=8000, n_fft=512, n_mels=10, htk=htk, norm=None)
    )
    hertz = np.arange(257) * 8000 / 512
    if htk:
        mel = 2595 * np.log10(1 + hertz / 700)
        top = 2595 * np.log10(1 + 4000 / 700)
        back = lambda m: 700 * (10 ** (m / 2595) - 1)  # noqa: E731
    else:
        log = 15 + 27 * np.log(np.maximum(hertz, 1) / 1000) / np.log(6.4)
        mel = np.where(hertz < 1000, 3 * hertz / 200, log)
        top = mel[-1]
        back = lambda m: np.where(m < 15, 200 * m / 3, 1000 * 6.4 ** ((m - 15) / 27))  # noqa: E731
    ends = back(np.linspace(0, top, 12))
    for m in range(10):
        low, centre, high = ends[m : m + 3]
        want = np.interp(hertz, [low, centre, high], [0, 1, 0])
        np.testing.assert_allclose(bank[m], want, atol=1e-6)
        inside = bank[m] > 0
        assert mel[inside].min() >= top * m / 11
        assert mel[inside].max() <= top * (m + 2) / 11
    even = np.float64(F.mel_filterbank(sr=8000, n_fft=512, n_mels=10, htk=htk))
    np.testing.assert_allclose(even, bank * (2 / (ends[2:] - ends[:-2]))[:, None], 1e-5)


def test_log_mel_and_mfcc_agree_with_the_definition(rng):
    x = draw(rng, 2, 400)
    options = dict(n_fft=64, hop_length=20)
    energy = np.float64(F.spectrogram(x, **options))
    bank = np.float64(F.mel_filterbank(sr=800, n_fft=64, n_mels=9, fmin=20, fmax=390))
    decibels = 10 * np.log10(np.maximum(bank @ energy, 1e-3))
    bands = dict(sr=800, n_mels=9, fmin=20, fmax=390, amin=1e-3, **options)
    assert_close(F.log_mel(x, **bands, top_db=None), decibels)
    floor = decibels.max(axis=(1, 2), keepdims=True) - 10
    cut = np.maximum(decibels, floor)
    assert (cut > decibels).any()
    assert_close(F.log_mel(x, **bands, top_db=10), cut)
    want = fft.dct(cut, axis=1, norm="ortho")[:, :5]
    assert_close(F.mfcc(x, n_mfcc=5, **bands, top_db=10), want)
    layer = nn.LogMel(**bands, top_db=10)
    assert_close(layer(x)[..., 0], cut)
    assert hash(layer) == hash(nn.LogMel(**bands, top_db=10))
    net = nn.Chain({"spectrogram": layer, "mean": F.global_avg_pool})
    assert net(x).shape == (2, 1)
    assert nn.summary(net, (400,)).rows[0].volume == (9, 21, 1)


@pytest.mark.full
def test_gradients_reach_the_waveform(rng):
    x = draw(rng, 30)

    def f(x):
        options = dict(n_fft=8, sr=100, n_mels=3, top_db=None)
        return F.log_mel(x, **options), F.mfcc(x, n_mfcc=2, **options)

    with jax.enable_x64(True):
        check_grads(
            jax.jit(f), [np.float64(x)], order=2, modes=["fwd", "rev"], rtol=1e-3
        )


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(rng, dtype):
    x = draw(rng, 400, dtype=dtype)
    for f in (
        compiled(lambda x: F.log_mel(x, sr=800, n_fft=64, n_mels=9)),
        compiled(F.spectrogram),
    ):
        out = f(jnp.tile(x, 6))
        assert out.dtype == dtype
        wide = f(jnp.tile(x, 6).astype(jnp.float32))
        assert_close(out, wide, tolerance=0.005)
    mapped = jax.vmap(lambda x: F.mfcc(x, sr=800, n_fft=64, n_mels=9, n_mfcc=3))
    assert mapped(jnp.stack([x, x])).shape == (2, 3, 26)


X = jnp.ones((2, 100))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "`x` is int32", lambda: F.frame(X.astype(int), 4, hop_length=2)),
        (TypeError, "`x` has 0 axes", lambda: F.frame(X[0, 0], 4, hop_length=2)),
        (TypeError, "`x` has 0 axes", lambda: F.stft(X[0, 0])),
        (
            ValueError,
            "`frame_length` is 128, but `x` has 100",
            lambda: F.frame(X, 128, hop_length=2),
        ),
        (ValueError, "`hop_length` is 0", lambda: F.frame(X, 4, hop_length=0)),
        (ValueError, "`hop_length` is 0", lambda: F.stft(X, n_fft=8, hop_length=0)),
        (ValueError, "`win_length` is 0", lambda: F.stft(X, n_fft=8, win_length=0)),
        (
            ValueError,
            "`hop_length` is 0",
            lambda: F.log_mel(X, sr=100, n_fft=64, n_mels=3, hop_length=0),
        ),
        (ValueError, "`hop_length` is 0", lambda: nn.Spectrogram(hop_length=0)(X)),
        (ValueError, "`win_length` is 0", lambda: nn.Spectrogram(win_length=0)(X)),
        (
            ValueError,
            "`n_fft` is 8.*16 samples",
            lambda: F.stft(X, n_fft=8, win_length=16),
        ),
        (ValueError, "is 128.*100 samples", lambda: F.stft(X, n_fft=128, center=False)),
        (
            ValueError,
            "`window` is 'hanning'",
            lambda: F.stft(X, n_fft=8, window="hanning"),
        ),
        (ValueError, "`power` is 0", lambda: F.spectrogram(X, n_fft=8, power=0)),
        (
            ValueError,
            "`fmax` is 60, but a sample rate of 100 holds.*50",
            lambda: F.log_mel(X, sr=100, n_fft=8, fmax=60),
        ),
        (
            ValueError,
            "`fmin` is 50.*below",
            lambda: F.mel_filterbank(sr=100, n_fft=8, fmin=50),
        ),
        (
            ValueError,
            "`n_mels` is 0",
            lambda: F.mel_filterbank(sr=100, n_fft=8, n_mels=0),
        ),
        (ValueError, "`sr` is 0", lambda: F.mel_filterbank(sr=0, n_fft=8)),
        (
            ValueError,
            "`norm` is 'l1'",
            lambda: F.mel_filterbank(sr=9, n_fft=8, norm="l1"),
        ),
        (ValueError, "`n_mfcc` is 20.*10 bands", lambda: F.mfcc(X, sr=100, n_mels=10)),
        (ValueError, "`amin` is 0", lambda: F.log_mel(X, sr=100, amin=0)),
        (ValueError, "`top_db` is -1", lambda: F.log_mel(X, sr=100, top_db=-1)),
        (
            ValueError,
            "`n_mels` is 200, but .*`sr` 8000 and `n_fft` 256 are 31.25 Hz.* 25 bands",
            lambda: F.log_mel(X, sr=8000, n_fft=256, n_mels=200),
        ),
        (ValueError, "`top_db` is 0", lambda: F.peak_norm(X, top_db=0)),
        (TypeError, "`x` has 1 axes, but.*2", lambda: F.peak_norm(X[0])),
        (TypeError, "`x` is int32", lambda: F.peak_norm(X.astype(int))),
    ],
)
def test_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_peak_norm_is_relative_to_the_peak_of_each_signal(rng):
    decibels = 20 * draw(rng, 3, 5, 7) + jnp.array([0.0, -30, 40]).reshape(3, 1, 1)
    got = F.peak_norm(decibels, top_db=50.0, min_peak_db=-1000.0)
    peak = decibels.max(axis=(1, 2), keepdims=True)
    assert_close(got, np.maximum(0, (np.asarray(decibels) - peak + 50) / 50))
    np.testing.assert_allclose(
        F.peak_norm(decibels + 25), F.peak_norm(decibels), atol=1e-6
    )
    assert F.peak_norm(jnp.full((2, 3), -140.0)).max() == 0
    soft = jnp.array([[-70.0, -90.0]])
    assert_close(F.peak_norm(soft), np.float32([[0.75, 0.5]]))
