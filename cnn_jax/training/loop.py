"""The loop: from a network and data to a trained network, one record at a time."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Dataset, input_name
from cnn_jax.nn import Chain
from cnn_jax.training.metrics import Loss, Sums, divide
from cnn_jax.training.optim import OptimizerName, ScheduleName
from cnn_jax.training.optim import optimizer as named
from cnn_jax.training.step import Augment, Recipe, State, Steps, compiled

STEPS_PER_DISPATCH = 16  # As many as one may have to wait for when interrupting.

cross_entropy: Loss = optax.softmax_cross_entropy_with_integer_labels


@dataclass(frozen=True)
class Config:
    """How to train.

    Args:
        epochs: How often every example is seen, at most.
        batch_size: Examples per step.
        optimizer: Which of `optim.OPTIMIZERS`.
        schedule: Which of `optim.SCHEDULES`, over all epochs.
        learning_rate: The constant rate, or the peak of the schedule.
        desired_error: The share of wrong votes over an epoch at which training ends
            early.
        seed: Of the shuffling; the networks bring their own chance.
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: OptimizerName = "adam"
    schedule: ScheduleName = "constant"
    learning_rate: float = 1e-3
    desired_error: float | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is {getattr(self, name)}, but must be ≥ 1.")
        if self.desired_error is not None and not 0 <= self.desired_error <= 1:
            raise ValueError(
                f"`desired_error` is {self.desired_error}, but must be between 0 and 1."
            )


@dataclass(frozen=True)
class Record:
    """What one epoch came to, with one entry per network where many are trained."""

    epoch: int
    step: int
    loss: Any
    metrics: dict[str, Any] = field(default_factory=dict)
    examples_per_second: float = 0.0


def fit(
    net: Chain | Sequence[Chain],
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    loss: Loss = cross_entropy,
    optimizer: optax.GradientTransformation | None = None,
    augment: Augment | None = None,
) -> Generator[Record, None, None]:
    """Trains a network, or many alike at once, and yields a record every epoch.

    The examples lie on the device and are shuffled there. Whenever a record is out, and
    when the generator ends or is closed, `net` holds the weights learned so far.

    Args:
        net: What is trained, in place: a Chain, or several that differ in their weights
            alone and are then trained side by side, mapped by `vmap`.
        data: What it learns from, its `train` split: one for all, or one for each
            network.
        config: How.
        loss: From votes and labels to one loss per example; any of optax's.
        optimizer: Any of optax's; the one that `config` names by default.
        augment: From a key and a batch of inputs to a batch that is as good.

    Yields:
        The step, and the loss, error and speed over the epoch. Each batch was measured
        before the step it led to.

    Raises:
        ValueError: If the networks differ in architecture, there are not as many data
            sets as networks, or a batch is larger than the data.

    Example:
        >>> from cnn_jax import nn
        >>> table, label = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])
        >>> split = {"table": table, "label": label}
        >>> data = Dataset(train=split, test=split, classes=("a", "b"))
        >>> net = nn.Chain({"votes": nn.Dense(4, 2, rngs=nnx.Rngs(0))})
        >>> config = Config(50, batch_size=2, learning_rate=0.1, desired_error=0.0)
        >>> [*_, last] = fit(net, data, config)
        >>> last.metrics["error"]
        0.0
    """
    nets, many = ([net], None) if isinstance(net, Chain) else (list(net), len(net))
    shared = isinstance(data, Dataset)
    inputs, labels = _on_device(data, len(nets))
    examples = labels.shape[0 if shared else 1]
    if config.batch_size > examples:
        raise ValueError(
            f"`batch_size` is {config.batch_size}, but there are {examples} examples."
        )
    batches = -(-examples // config.batch_size)
    if optimizer is None:
        steps = config.epochs * batches
        optimizer = named(
            config.optimizer, config.schedule, config.learning_rate, steps
        )
    graph, parts = _split(nets)
    recipe = Recipe(graph, loss, optimizer, config.batch_size, augment)
    run = compiled(recipe, examples=examples, many=many, own_data=not shared)
    state = run.start(parts, jax.random.key(config.seed))
    try:
        for epoch in range(1, config.epochs + 1):
            began = time.perf_counter()
            order, found = run.shuffled(state.key), []
            for first in range(0, batches, STEPS_PER_DISPATCH):
                last = min(first + STEPS_PER_DISPATCH, batches)
                state, sums = run.train_steps(state, inputs, labels, order, first, last)
                found.append(sums)
            means = _means(found)
            seconds = time.perf_counter() - began
            _give_back(nets, run, state)
            yield Record(
                epoch=epoch,
                step=epoch * batches,
                loss=means.pop("loss"),
                metrics=means,
                examples_per_second=examples * len(nets) / seconds,
            )
            if _reached(means, config.desired_error):
                return
    finally:
        _give_back(nets, run, state)


def _on_device(data: Dataset | Sequence[Dataset], nets: int) -> tuple[Array, Array]:
    """Inputs and labels, with a leading axis where each network has its own."""
    if isinstance(data, Dataset):
        train = data.train
        return jnp.asarray(train[input_name(train)]), jnp.asarray(train["label"])
    if len(data) != nets:
        raise ValueError(
            f"`data` has {len(data)} data sets, but there are {nets} networks: give "
            "one for all, or one for each."
        )
    pairs = [(one.train[input_name(one.train)], one.train["label"]) for one in data]
    shapes = {tuple(array.shape for array in pair) for pair in pairs}
    if len(shapes) > 1:
        raise ValueError(f"`data` must be alike in shape, but has {sorted(shapes)}.")
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *pairs)


def _split(nets: Sequence[Chain]) -> tuple[Any, list[tuple[nnx.State, nnx.State]]]:
    """The graph that the networks share, and the (params, rest) of each."""
    parts = [nnx.split(net, nnx.Param, ...) for net in nets]
    for i, (graph, *_) in enumerate(parts):
        if graph != parts[0][0]:
            raise ValueError(
                f"network {i} is of another architecture than network 0: networks that "
                "train together may differ in their weights alone."
            )
    return parts[0][0], [(params, rest) for _, params, rest in parts]


def _give_back(nets: Sequence[Chain], run: Steps, state: State) -> None:
    """Writes copies of the weights into the networks, for the next step takes these."""
    if any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
        return  # Interrupted inside a step: the last record's weights stay.
    for net, weights in zip(nets, run.weights(state), strict=True):
        nnx.update(net, *weights)


def _means(found: Sequence[Sums]) -> dict[str, Any]:
    """Counts, then divides; in float64 on the host."""
    columns = jax.device_get(found)
    total = {
        name: np.sum([sums[name] for sums in columns], axis=0, dtype=np.float64)
        for name in columns[0]
    }
    return {
        name: mean.tolist() if mean.ndim == 0 else mean
        for name, mean in divide(total).items()
    }


def _reached(means: dict[str, Any], desired_error: float | None) -> bool:
    return desired_error is not None and bool(np.all(means["error"] <= desired_error))
