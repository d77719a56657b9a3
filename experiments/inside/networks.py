"""The trained networks of every kind, and the data that they are examined on."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from flax import nnx

from cnn_jax import data, explain, nn, training
from cnn_jax.models import MODELS, mlp, sound_net, xo_net
from experiments.audio import recordings
from experiments.audio.config import Config as AudioConfig
from experiments.digits import Config as DigitsConfig
from experiments.digits import as_lenet_input, draw_splits
from experiments.inside.config import Config

COLUMNS, INFORMATIVE, ROWS = 20, 5, 2000  # Of the synthetic table.
STRENGTH = 0.5  # Deformation of the X's and O's that are examined.


@dataclass(frozen=True, eq=False)
class Known:
    """Networks of one kind, and inputs of which it is known what their class means.

    Args:
        nets: One per seed, for evaluation.
        inputs: What the networks read, one array per seed.
        labels: True classes.
        masks: Where the information is, (inputs, *spatial), one array per seed.
        baseline: The value of an input without information.
        errors: Error rates on the test split.
    """

    nets: list[nn.Chain]
    inputs: list[np.ndarray]
    labels: list[np.ndarray]
    masks: list[np.ndarray]
    baseline: float
    errors: np.ndarray


def train(
    nets: Sequence[nn.Chain],
    dataset: data.Dataset | Sequence[data.Dataset],
    options: training.Config,
) -> list[nn.Chain]:
    """Trains all networks in one call; returns them for evaluation."""
    for _ in training.fit(list(nets), dataset, options):
        pass
    return [explain.evaluated(net) for net in nets]


def letters(config: Config) -> Known:
    """Networks for X's and O's; the mask is the stroke."""
    xo = data.load("xo/hard", data_dir=config.data_dir)
    split = {name: array[:2500] for name, array in xo.train.items()}
    dataset = data.Dataset(train=split, test=xo.test, classes=xo.classes)
    options = training.Config(
        epochs=config.epochs, batch_size=50, learning_rate=3e-3, seed=config.seed
    )
    nets = [xo_net(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]
    trained = train(nets, dataset, options)
    drawn = [
        draw_letters(config.inputs, 100 + config.seed + i) for i in range(config.seeds)
    ]
    images, labels, masks = map(list, zip(*drawn, strict=True))
    errors = [training.evaluate(net, xo.test)["error"] for net in trained]
    return Known(trained, images, labels, masks, -1.0, np.array(errors))


def draw_letters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images with noise, their classes, and where their strokes are.

    The noise is drawn last, so that the same letters can be drawn without it.
    """
    kinds = ("shift", "scale", "rotation", "thickness", "elastic")
    draw = partial(data.draw_xo, strength=STRENGTH)
    noisy = draw(np.random.default_rng(seed), count)
    clean = draw(np.random.default_rng(seed), count, kinds=kinds)
    return noisy["image"], noisy["label"], clean["image"][..., 0] > 0


def digits(config: Config) -> tuple[list[nn.Chain], list[data.Dataset], np.ndarray]:
    """LeNets for digits, their splits, and their error rates."""
    loaded = data.load("digits", data_dir=config.data_dir)
    own = DigitsConfig(seeds=config.seeds, seed=config.seed)
    splits = [as_lenet_input(split) for split in draw_splits(own, loaded)]
    options = training.Config(
        epochs=6 * config.epochs,
        batch_size=64,
        learning_rate=3e-3,
        schedule="onecycle",
        augment=("affine", "elastic"),
        seed=config.seed,
    )
    make: Callable[..., Any] = MODELS["lenet5_relu"]
    nets = [make(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]
    trained = train(nets, splits, options)
    pairs = zip(trained, splits, strict=True)
    errors = [training.evaluate(net, split.test)["error"] for net, split in pairs]
    return trained, splits, np.array(errors)


def draw_table(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal columns; the class depends on the first few, with an interaction."""
    x = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    score = x[:, 0] + x[:, 1] - x[:, 2] + np.abs(x[:, 3]) - np.abs(x[:, 4])
    return x, (score > 0).astype(np.int32)


def table(config: Config) -> Known:
    """Networks for a table; the mask are the informative columns."""
    rng = np.random.default_rng(config.seed)
    x, y = draw_table(rng, 2 * ROWS)
    train_split = {"table": x[:ROWS], "label": y[:ROWS]}
    test_split = {"table": x[ROWS:], "label": y[ROWS:]}
    dataset = data.Dataset(train_split, test_split, ("low", "high"))
    nets = [
        mlp(shape=COLUMNS, classes=2, rngs=nnx.Rngs(config.seed + i))
        for i in range(config.seeds)
    ]
    options = training.Config(epochs=10, learning_rate=3e-3, seed=config.seed)
    trained = train(nets, dataset, options)
    parts = [
        slice(i * config.inputs, (i + 1) * config.inputs) for i in range(config.seeds)
    ]
    inputs, labels = ([test_split[n][p] for p in parts] for n in ("table", "label"))
    mask = np.arange(COLUMNS) < INFORMATIVE
    masks = [np.broadcast_to(mask, part.shape) for part in inputs]
    errors = [training.evaluate(net, test_split)["error"] for net in trained]
    return Known(trained, inputs, labels, masks, 0.0, np.array(errors))


def words(config: Config) -> Known:
    """Networks for words in noise; the mask are the frames in which one is spoken.

    The networks that are returned read spectrograms.
    """
    own = AudioConfig(
        data_dir=config.data_dir, max_recordings=config.recordings, seed=config.seed
    )
    splits, classes, _ = recordings.load(own)
    rng = np.random.default_rng(config.seed)
    moved = {name: recordings.shift(rng, splits[name].waveforms) for name in splits}
    parts: dict[str, Any] = {
        name: {
            "signal": recordings.add_noise(rng, moved[name], 20.0),
            "label": splits[name].labels,
        }
        for name in ("train", "test")
    }
    dataset = data.Dataset(parts["train"], parts["test"], tuple(classes))
    rate = splits["train"].rate
    make = partial(sound_net, rate=rate, classes=len(classes))
    nets = [make(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]
    options = training.Config(
        epochs=2 * config.epochs,
        batch_size=64,
        learning_rate=1e-2,
        schedule="onecycle",
        seed=config.seed,
    )
    trained = train(nets, dataset, options)
    errors = [training.evaluate(net, parts["test"])["error"] for net in trained]
    order = rng.permutation(len(parts["test"]["label"]))
    front = explain.split_front(trained[0])[0]
    assert front is not None
    inputs, labels, masks = [], [], []
    for i in range(config.seeds):
        rows = order[i * config.inputs : (i + 1) * config.inputs]
        picture = training.predict(front, parts["test"]["signal"][rows])
        inputs.append(picture)
        labels.append(parts["test"]["label"][rows])
        masks.append(spoken(moved["test"][rows], picture.shape[1:3]))
    rest = [explain.split_front(net)[1] for net in trained]
    return Known(rest, inputs, labels, masks, 0.0, np.array(errors))


def spoken(waveforms: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The frames of a spectrogram that begin to overlap a word, in all bands.

    Args:
        waveforms: Words without noise, with zeros before and after them.
        shape: Bands and frames of the spectrogram.
    """
    bands, frames = shape
    edges = np.linspace(0, waveforms.shape[1], frames + 1).astype(int)
    inside = np.stack(
        [
            np.any(waveforms[:, low:high] != 0, axis=1)
            for low, high in itertools.pairwise(edges)
        ],
        axis=1,
    )
    return np.broadcast_to(inside[:, None], (len(waveforms), bands, frames))
