"""A simple classifier that takes seconds, beside which a network is judged."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import cnn_jax.functional as F
from cnn_jax.data import Dataset, as_float, input_name
from cnn_jax.data.dataset import batches, length
from cnn_jax.data.dataset import labels as labels_of
from cnn_jax.data.readers import AudioReader

MAX_ROWS = 2000  # Of more training examples, a random part is used.
SIDE, CELLS, BINS = 32, 4, 8  # Of gradient histograms; BINS also of colour histograms.


class Baseline(NamedTuple):
    """How well a simple method does on the test split.

    Attributes:
        name: Which one, in words.
        score: Its accuracy; for a quantity, its root mean squared error.
    """

    name: str
    score: float


def baseline(dataset: Dataset, *, seed: int = 0) -> Baseline:
    """Trains a simple method on the training split, and tests it.

    Tables have boosted trees. Images have a logistic regression on 8 × 8 pixels, and
    histograms of gradients and colours; audio has one on the means and deviations of a
    spectrogram over time.

    Args:
        dataset: Examples with one class each, or rows with a quantity.
        seed: Chooses the training examples where there are many.

    Returns:
        Its name and its accuracy, or its RMSE.

    Example:
        >>> x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        >>> split = {"table": x, "label": (x[:, 0] > 0).astype(np.int32)}
        >>> baseline(Dataset(train=split, test=split, classes=("a", "b"))).score
        1.0
    """
    describe, model, name = method(dataset)
    rng = np.random.default_rng(seed)
    inputs, labels = sample(dataset.train, MAX_ROWS, rng)
    model.fit(describe(inputs), labels)
    inputs, labels = sample(dataset.test, MAX_ROWS, rng)
    predicted = model.predict(describe(inputs))
    if labels.dtype.kind == "f":
        return Baseline(name, float(np.sqrt(np.mean((predicted - labels) ** 2))))
    return Baseline(name, float(np.mean(predicted == labels)))


def sample(
    split: Any, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of at most `count` random examples of a split."""
    rows = np.sort(rng.permutation(length(split))[:count])
    if hasattr(split, "keys"):
        labels = split["label"][rows]
        return split[input_name(split)][rows], labels.reshape(len(rows))
    ((inputs, labels),) = batches(split, rows, len(rows))
    return np.asarray(inputs), np.asarray(labels)


def method(dataset: Dataset) -> tuple[Callable[[np.ndarray], np.ndarray], Any, str]:
    """From inputs to features, the untrained method, and its name."""
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    if len(dataset.shape) == 3:
        return (
            describe_images,
            linear,
            "logistic regression on small pixels, gradients and colours",
        )
    reader = dataset.reader
    if isinstance(reader, AudioReader):
        name = "logistic regression on spectrogram means"
        return lambda x: describe_audio(x, reader.rate), linear, name
    quantity = labels_of(dataset.train).dtype.kind == "f"
    kind = HistGradientBoostingRegressor if quantity else HistGradientBoostingClassifier
    return np.asarray, kind(random_state=0), "boosted trees"


def describe_images(images: np.ndarray) -> np.ndarray:
    """Small pixels, and histograms of gradients and of colours.

    Args:
        images: Bytes or floats from −1 to 1, (images, height, width, channels).

    Returns:
        A row of features for each image.
    """
    x = np.asarray(as_float(jnp.asarray(images)))
    small = F.resize(jnp.asarray(x), (8, 8), method="linear", antialias=True)
    grey = jnp.asarray(x.mean(axis=-1, keepdims=True))
    grey = np.asarray(F.resize(grey, (SIDE, SIDE), method="linear", antialias=True))
    levels = np.clip((BINS * (x + 1) / 2).astype(int), 0, BINS - 1)
    colours = [(levels == i).mean(axis=(1, 2)) for i in range(BINS)]
    parts = [np.asarray(small), _gradients(grey[..., 0]), np.stack(colours, axis=1)]
    return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)


def _gradients(grey: np.ndarray) -> np.ndarray:
    """Histograms of the directions of gradients, in cells, of length 1 in all."""
    down, right = np.gradient(grey, axis=(1, 2))
    size = np.hypot(down, right)
    direction = (np.arctan2(down, right) % np.pi / np.pi * BINS).astype(int) % BINS
    cells = (len(grey), CELLS, SIDE // CELLS, CELLS, SIDE // CELLS)
    each = [
        np.where(direction == i, size, 0).reshape(cells).sum(axis=(2, 4))
        for i in range(BINS)
    ]
    found = np.stack(each, axis=-1).reshape(len(grey), -1)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)


def describe_audio(signals: np.ndarray, rate: int) -> np.ndarray:
    """Means and deviations over time of a log-mel spectrogram.

    Args:
        signals: Samples, (signals, samples).
        rate: Samples per second.

    Returns:
        A row of features for each signal.
    """
    window = 2 ** int(np.log2(max(64, 0.05 * rate)))
    bands = F.log_mel(jnp.asarray(signals), sr=rate, n_fft=window, n_mels=24)
    bands = np.asarray(bands)
    return np.concatenate([bands.mean(axis=-1), bands.std(axis=-1)], axis=1)
