"""Audio compared with librosa, colour with scikit-image."""

import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from skimage import color

import cnn_jax.functional as F
from tests.helpers import assert_close, draw


@pytest.fixture
def wave(rng):
    t = np.arange(5000) / 8000
    tones = sum(np.sin(2 * np.pi * f * t**p) for f, p in ((440, 1), (900, 1.2)))
    return np.float32(tones * np.exp(-2 * t) + 0.01 * rng.normal(size=t.shape))


OPTIONS = [
    dict(n_fft=256, hop_length=64),
    dict(n_fft=300, hop_length=80, win_length=200, window="hamming"),
    dict(n_fft=256, hop_length=77, center=False),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_transforms(wave, options):
    want = librosa.stft(wave, **options)
    got = F.stft(jnp.asarray(wave), **options)
    assert got.shape == want.shape
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
    assert_close(
        F.spectrogram(jnp.asarray(wave), power=1, **options), np.abs(want), 1e-4
    )


@pytest.mark.parametrize("length", [64, 5000])
@pytest.mark.parametrize("hop", [10, 64, 100])
def test_frames(wave, length, hop):
    want = librosa.util.frame(wave, frame_length=length, hop_length=hop)
    got = F.frame(jnp.asarray(wave), length, hop_length=hop)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(("sr", "n_fft"), [(8000, 256), (22050, 2048), (16000, 401)])
def test_mel_triangles(htk, norm, sr, n_fft):
    options = dict(
        sr=sr, n_fft=n_fft, n_mels=20, fmin=30, fmax=3900, htk=htk, norm=norm
    )
    assert_close(F.mel_filterbank(**options), librosa.filters.mel(**options), 1e-4)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("htk", [False, True])
def test_log_mel_and_mfcc(wave, options, htk):
    bands = dict(sr=8000, n_mels=24, fmin=50, htk=htk)
    energy = librosa.feature.melspectrogram(y=wave, **bands, **options)
    want = librosa.power_to_db(energy)
    assert_close(F.log_mel(jnp.asarray(wave), **bands, **options), want, 1e-4)
    want = librosa.feature.mfcc(S=want, n_mfcc=13)
    got = F.mfcc(jnp.asarray(wave), n_mfcc=13, **bands, **options)
    assert_close(got, want, 1e-4)


def test_defaults_agree_with_librosa(wave):
    want = librosa.feature.mfcc(y=wave, sr=22050)
    assert_close(F.mfcc(jnp.asarray(wave), sr=22050), want, 1e-4)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_colours(rng):
    corners = np.array(list(np.ndindex(3, 3, 3))) / 2
    x = jnp.asarray(np.concatenate([corners, rng.random((50, 3))]), jnp.float32)
    wide = np.float64(x)
    assert_close(F.rgb_to_gray(x)[:, 0], color.rgb2gray(wide), 1e-4)
    assert_close(F.rgb_to_hsv(x), color.rgb2hsv(wide), 1e-4)
    assert_close(F.hsv_to_rgb(x), color.hsv2rgb(wide), 1e-4)
    assert_close(F.rgb_to_lab(x), color.rgb2lab(wide), 1e-4)
    lab = draw(rng, 50, 3) * jnp.array([[15.0, 20.0, 20.0]]) + 50.0
    assert_close(F.lab_to_rgb(lab), color.lab2rgb(np.float64(lab)), 1e-4)
    np.testing.assert_array_equal(
        F.gray_to_rgb(x[:, :1]), color.gray2rgb(np.asarray(x[:, 0]))
    )
