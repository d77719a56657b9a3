"""Recordings of the training and test splits, shifted in time and with noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import data
from cnn_jax.data.dataset import batches, length
from cnn_jax.data.readers import AUDIO_SUFFIXES
from experiments.audio.config import Config

NOISE_LEVELS = {"clean": np.inf, "20 dB": 20.0, "10 dB": 10.0, "0 dB": 0.0}
OTHER = "other engine"


@dataclass(frozen=True)
class Recordings:
    """Waveforms of shape (recordings, samples), their classes and sampling rate."""

    waveforms: np.ndarray
    labels: np.ndarray
    rate: int


def load(config: Config) -> tuple[dict[str, Recordings], tuple[str, ...], list[str]]:
    """The splits by name, the class names, and notes about the data.

    Raises:
        ValueError: If the data are not audio.
    """
    folder = Path(config.data).expanduser()
    endings = {file.suffix.lower() for file in folder.rglob("*")}
    if folder.is_dir() and not endings & set(AUDIO_SUFFIXES):
        raise ValueError(f"`data` is {config.data!r}, which has no audio.")
    options: dict[str, Any] = {"rate": config.rate, "seconds": config.seconds}
    loaded = data.load(config.data, data_dir=config.data_dir, **options)
    rate = loaded.reader.rate
    notes = [] if loaded.origin is None else list(loaded.origin.notes)
    rng = np.random.default_rng(config.seed)

    def sample(split: Any) -> Recordings:
        rows = np.sort(rng.permutation(length(split))[: config.max_recordings])
        waveforms, labels = next(batches(split, rows, len(rows)))
        return Recordings(waveforms, labels, rate)

    splits = {"train": sample(loaded.train), "test": sample(loaded.test)}
    if config.data == "synthetic_digits":
        notes += ["Synthetic speech, not people"]
        other = f"{config.data}/other_engine"
        loaded_other = data.load(other, data_dir=config.data_dir, **options)
        splits[OTHER] = sample(loaded_other.test)
    return splits, loaded.classes, notes


def conditions(
    splits: dict[str, Recordings], rng: np.random.Generator
) -> dict[str, Recordings]:
    """The recordings that networks read, each at a random time in its window.

    Returns:
        `train`, every recording clean and once more at a random noise level; the test
        split at every noise level; and the other engine, clean.
    """
    train, test = splits["train"], splits["test"]
    levels = rng.choice(list(NOISE_LEVELS.values())[1:], len(train.waveforms))
    clean, noisy = (shift(rng, train.waveforms) for _ in range(2))
    waveforms = np.concatenate([clean, add_noise(rng, noisy, levels)])
    labels = np.tile(train.labels, 2)
    result = {"train": Recordings(waveforms, labels, train.rate)}
    for name, level in NOISE_LEVELS.items():
        waveforms = add_noise(rng, shift(rng, test.waveforms), level)
        result[name] = Recordings(waveforms, test.labels, test.rate)
    if OTHER in splits:
        other = splits[OTHER]
        waveforms = shift(rng, other.waveforms)
        result[OTHER] = Recordings(waveforms, other.labels, other.rate)
    return result


def shift(rng: np.random.Generator, waveforms: np.ndarray) -> np.ndarray:
    """Delays each waveform by a random part of the silence at its end."""
    samples = waveforms.shape[1]
    end = samples - np.argmax(waveforms[:, ::-1] != 0, axis=1)
    begin = rng.integers(0, samples - end + 1)
    indices = (np.arange(samples) - begin[:, None]) % samples
    return np.take_along_axis(waveforms, indices, axis=1)


def add_noise(
    rng: np.random.Generator, waveforms: np.ndarray, decibels: float | np.ndarray
) -> np.ndarray:
    """Adds white noise at a signal-to-noise ratio in dB.

    The signal power is the mean over samples that are not zero.
    """
    nonzero = np.maximum(np.count_nonzero(waveforms, axis=1), 1)
    signal_power = (waveforms**2).sum(axis=1) / nonzero
    power = signal_power * 10 ** (-np.asarray(decibels) / 10)
    noise = rng.standard_normal(waveforms.shape, dtype=np.float32)
    return waveforms + np.sqrt(power, dtype=np.float32)[:, None] * noise
