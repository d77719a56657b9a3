"""A run in a process of its own, which may be killed at any moment.

    python -m tests.training.killed FOLDER MARKS EPOCHS [stream]

It writes an `s` to MARKS before it takes steps and an `r` when they are done, so that
the last letter says whether it was killed inside of one.
"""

import dataclasses
import os
import sys
from pathlib import Path

import jax
import numpy as np
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import data, nn, training
from cnn_jax.training import trainer

CONFIG = training.Config(
    batch_size=16,
    schedule="onecycle",
    learning_rate=3e-3,
    augment=("crop", "flip"),
    ema=0.99,
    clip=1.0,
    patience=100,
    record_every=5,
    save_every=0.0,
)


def network():
    """One with weights, statistics and chance; large enough that saving takes time."""
    rngs = nnx.Rngs(0)
    return nn.Chain(
        {
            "zz": nn.Conv(1, 16, (3, 3), padding="same", rngs=rngs),
            "norm": nn.BatchNorm(16),
            "relu": F.relu,
            "drop": nn.Dropout(0.2, rngs=rngs),
            "hidden": nn.Dense((12, 11, 16), 256, rngs=rngs),
            "aa": nn.Dense(256, 3, rngs=rngs),
        }
    )


def pictures():
    rng = np.random.default_rng(0)
    label = np.arange(150, dtype=np.int32) % 3
    image = rng.integers(0, 256, size=(150, 12, 11, 1), dtype=np.uint8)
    image[np.arange(150), 3 * label] = 255
    split = {"image": image, "label": label}
    seen = {name: array[:30] for name, array in split.items()}
    return data.Dataset(split, seen, tuple("abc"), validation=seen)


def marking(compiled, marks):
    """The compiled steps, which say when they begin and when they are done."""

    def marked(*args, **kwargs):
        steps = compiled(*args, **kwargs)

        def train_steps(*arguments):
            os.write(marks, b"s")
            out = jax.block_until_ready(steps.train_steps(*arguments))
            os.write(marks, b"r")
            return out

        return steps._replace(train_steps=train_steps)

    return marked


def main(folder, marks, epochs, feed="device"):
    """Trains, and leaves marks on its way."""
    file = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    trainer.compiled = marking(trainer.compiled, file)
    train(folder, dataclasses.replace(CONFIG, epochs=int(epochs), feed=feed))


def train(folder, config):
    """Trains, or goes on, and writes the last weights down."""
    net = network()
    for _ in training.fit(net, pictures(), config, folder=folder, resume=True):
        pass
    state = jax.tree.leaves(nnx.state(net, nnx.Not(nnx.RngState)))
    np.savez(Path(folder) / "weights.npz", *map(np.asarray, state))


if __name__ == "__main__":
    main(*sys.argv[1:])
