"""Small networks, many of which are trained in one dispatch."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Key

from cnn_jax import models
from cnn_jax.locality.inputs import PreparedData
from cnn_jax.locality.splits import Splits
from cnn_jax.lowering import compiler_options
from cnn_jax.training.trainer import side_by_side

EPOCHS, STEPS, BATCH, RATE = 30, (100, 1000), 64, 3e-3


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A kind of network; equal ones share a compilation.

    Args:
        kind: With convolutions, or without.
        size: The spatial size: (columns,) or (height, width).
        channels: Values per position.
        classes: The number of classes.
    """

    kind: Literal["CNN", "MLP"]
    size: tuple[int, ...]
    channels: int
    classes: int

    @classmethod
    def for_data(cls, kind: Literal["CNN", "MLP"], data: PreparedData) -> "ModelSpec":
        """The network that reads some data."""
        return cls(kind, data.size, data.x.shape[-1], data.classes)

    def build(self, key: Array) -> nnx.Module:
        """A network with weights from a key."""
        rngs, shape = nnx.Rngs(params=key), (*self.size, self.channels)
        make = models.small_cnn if self.kind == "CNN" else models.mlp
        return make(shape=shape, classes=self.classes, rngs=rngs)


class _Jobs(NamedTuple):
    """The split, order, learning rate and key of each of many networks."""

    split: Array
    order: Array
    rate: Array
    key: Array


def train(
    spec: ModelSpec,
    splits: Splits,
    split: Sequence[int] | np.ndarray,
    order: np.ndarray,
    *,
    key: Key[Array, ""],
    rate: float | np.ndarray = RATE,
) -> tuple[np.ndarray, np.ndarray]:
    """Trains many networks at once and evaluates each on its test rows.

    Args:
        spec: Their architecture.
        splits: The data.
        split: The split that each network is trained on.
        order: The order of positions for each network, (networks, positions).
        key: For initial weights and batches.
        rate: The peak of the learning rate, one for all or for each.

    Returns:
        The accuracy of each on its test rows, and its Brier score: the mean squared
        distance between probabilities and the one-hot label.
    """
    keys, count = jax.random.split(key, len(split)), len(split)
    rates = np.broadcast_to(np.asarray(rate, np.float32), (count,))
    jobs = _Jobs(jnp.asarray(split), jnp.asarray(order), jnp.asarray(rates), keys)
    run = functools.partial(_compiled(spec), jax.tree.map(jnp.asarray, splits))
    return _in_threads(run, jobs)


def _in_threads(run: Callable[[_Jobs], Any], jobs: _Jobs) -> Any:
    """Runs jobs in one thread per core, because a step is too small to use two cores.

    All parts have the same length, the last one padded, for one compilation.
    """
    count = len(jobs.split)
    parts = 1 if side_by_side() else min(count, os.cpu_count() or 1)
    rows = np.resize(np.arange(count), (parts, -(-count // parts)))
    chunks = [jax.tree.map(lambda x: x[part], jobs) for part in rows]  # noqa: B023
    with ThreadPoolExecutor(parts) as pool:
        found = [jax.tree.map(np.asarray, out) for out in pool.map(run, chunks)]
    return tuple(np.concatenate(each)[:count] for each in zip(*found, strict=True))


@functools.cache
def _compiled(spec: ModelSpec) -> Callable[..., Any]:
    """Trains networks in one dispatch, in parallel, or on a CPU one after another."""

    def every(splits: Splits, jobs: _Jobs) -> tuple[Array, Array]:
        one = functools.partial(_train_one, spec, splits)
        return jax.vmap(one)(jobs) if side_by_side() else jax.lax.map(one, jobs)

    return jax.jit(every, compiler_options=compiler_options())


def _train_one(spec: ModelSpec, splits: Splits, job: _Jobs) -> tuple[Array, Array]:
    """Accuracy and Brier score of one network on its test rows."""
    size = (*spec.size, spec.channels)
    x, test_x = (
        part[job.split][:, job.order].reshape(-1, *size)
        for part in (splits.train_x, splits.test_x)
    )
    y, labels = splits.train_y[job.split], splits.test_y[job.split]
    keys = jax.random.split(job.key)
    graph, params = nnx.split(spec.build(keys[0]))
    rows = _batches(keys[1], len(x))
    schedule = optax.cosine_onecycle_schedule(len(rows), 1.0)
    optimizer = optax.adamw(lambda step: job.rate * schedule(step), weight_decay=1e-4)

    def step(carry: Any, rows: Array) -> Any:
        params, state = carry

        def loss(params: Any) -> Array:
            logits = nnx.merge(graph, params)(x[rows])
            return optax.softmax_cross_entropy_with_integer_labels(
                logits, y[rows]
            ).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    initial = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(step, initial, rows)
    probabilities = jax.nn.softmax(nnx.merge(graph, params)(test_x))
    accuracy = (probabilities.argmax(axis=-1) == labels).mean()
    errors = probabilities - jax.nn.one_hot(labels, spec.classes)
    return accuracy, (errors**2).sum(axis=-1).mean()


def _batches(key: Array, rows: int) -> Array:
    """The rows of each step, shuffled every epoch."""
    batch = min(BATCH, rows)
    each = rows // batch
    steps = int(np.clip(EPOCHS * each, *STEPS))
    keys = jax.random.split(key, -(-steps // each))
    orders = jax.vmap(lambda key: jax.random.permutation(key, rows))(keys)
    return orders[:, : each * batch].reshape(-1, batch)[:steps]
