"""The training that all layouts of devices share."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import data, models, nn, training
from cnn_jax.training.trainer import Trainer

OPERATIONS = "all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter"
EXAMPLES, SIZE, CLASSES = 150, 16, 5  # Five batches of 32; the last has 22 examples.


def pictures(seed: int) -> data.Dataset:
    """Noise that is brighter the higher its class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES, EXAMPLES).astype(np.int32)
    image = rng.random((EXAMPLES, SIZE, SIZE, 3)).astype(np.float32)
    split = {"image": image + label[:, None, None, None] / CLASSES, "label": label}
    return data.Dataset(split, split, tuple("abcde"))


def options(devices: int, *, fsdp: int = 1, epochs: int = 4) -> training.Config:
    """20 steps at a rate so small that a rounding is not amplified by a ReLU."""
    return training.Config(
        epochs=epochs,
        batch_size=32,
        optimizer="momentum",
        learning_rate=1e-4,
        augment=("flip",),
        devices=devices,
        fsdp=fsdp,
    )


def network(seed: int) -> nn.Chain:
    """ResNet-20 of 0.27 million weights."""
    return models.build("resnet20", classes=CLASSES, rngs=nnx.Rngs(seed))


def train(seed: int, config: training.Config) -> np.ndarray:
    """All weights after the training."""
    net = network(seed)
    for _ in training.fit(net, pictures(seed), config):
        pass
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])


class Step:
    """One compiled training step, to be looked at and timed.

    Args:
        seed: Of the weights and data.
        config: The options of the training.
    """

    def __init__(self, seed: int, config: training.Config):
        self._trainer = Trainer(network(seed), pictures(seed), config)
        self._trainer.start()
        self._trainer._begin_epoch()

    def _arguments(self) -> tuple:
        trainer = self._trainer
        one = trainer._counts[1]
        return (trainer.states[0], *trainer.feeds[0].take(1), one)

    def collectives(self) -> Counter[str]:
        """How often its compiled text exchanges arrays, by operation."""
        lowered = self._trainer.run.train_steps.lower(*self._arguments())
        text = lowered.compile().as_text()
        return Counter(re.findall(rf" ({OPERATIONS})(?:-start)?\(", text))

    def bytes_per_device(self) -> int:
        """Bytes of weights and optimizer on the device that holds most of them."""
        state, held = self._trainer.states[0], Counter()
        for leaf in jax.tree.leaves((state.params, state.opt_state)):
            for shard in leaf.addressable_shards:
                held[shard.device] += shard.data.nbytes
        return max(held.values())

    def __call__(self) -> None:
        """Takes a step, again and again the same one of the epoch."""
        trainer = self._trainer
        state = trainer.states[0]
        chunk = trainer.feeds[0].take(1)._replace(begin=jnp.copy(state.step))
        one = trainer._counts[1]
        trainer.states[0], halted = trainer.run.train_steps(state, *chunk, one)
        jax.block_until_ready(halted)
