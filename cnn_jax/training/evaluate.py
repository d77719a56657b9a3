"""Predictions and metrics of a trained network."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Source, Split, inputs_of
from cnn_jax.data.dataset import batches, floats, length
from cnn_jax.lowering import compiler_options
from cnn_jax.nn import Chain
from cnn_jax.tasks import Task, default_task
from cnn_jax.tasks.metrics import Metrics, divide
from cnn_jax.training.feed import padded


@cache  # At the first call, because it asks for the device.
def _compiled() -> Any:
    return jax.jit(_outputs, static_argnums=0, compiler_options=compiler_options())


@cache
def _compiled_metrics() -> Any:
    def metrics(
        graph: nnx.GraphDef, task: Task, state: nnx.State, x: Any, y: Any, n: Array
    ) -> Metrics:
        mask = (jnp.arange(len(jax.tree.leaves(x)[0])) < n).astype(jnp.float32)
        return task.metrics(_outputs(graph, state, x), y, mask)

    options = compiler_options()
    return jax.jit(metrics, static_argnums=(0, 1), compiler_options=options)


def _outputs(graph: nnx.GraphDef, state: nnx.State, x: Any) -> Any:
    net: Any = nnx.merge(graph, state)
    return net(floats(x))


def _evaluated(net: Chain) -> tuple[nnx.GraphDef, nnx.State]:
    """The graph and state of a network in evaluation mode."""
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.split(nnx.view(net, raise_if_not_found=False, **modes))


def predict(net: Chain, inputs: chex.ArrayTree, *, batch_size: int = 512) -> Any:
    """The outputs of a network for every input, in evaluation mode.

    Every batch has the same shape, the last one padded, so that one compilation serves
    all.

    Args:
        net: The network.
        inputs: Any number of them: an array, or several by name.
        batch_size: The largest number of inputs in a batch.

    Returns:
        The outputs, such as logits, one row per input.

    Raises:
        ValueError: If there are no inputs.
    """
    count = len(jax.tree.leaves(inputs)[0])
    if not count:
        raise ValueError("`inputs` is empty, but a prediction needs at least one.")
    size = min(batch_size, count)
    graph, state = _evaluated(net)
    found = []
    for start in range(0, count, size):
        batch = jax.tree.map(lambda x, i=start: padded(x[i : i + size], size), inputs)
        rows = slice(min(size, count - start))
        outputs = _compiled()(graph, state, batch)
        found.append(jax.tree.map(lambda x, r=rows: np.asarray(x)[r], outputs))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def evaluate(
    net: Chain,
    split: Split | Source,
    *,
    task: Task | None = None,
    batch_size: int = 512,
) -> dict[str, float]:
    """The metrics of a split: the mean loss, and the error rate of classes.

    Metrics are computed batch by batch on the device, so that no more than one batch of
    outputs is held.

    Args:
        net: The network; it runs in evaluation mode.
        split: Inputs and labels, such as `data.test`; or a source, which is streamed.
        task: What outputs mean; by default read from the labels.
        batch_size: The largest number of examples in a batch.

    Returns:
        `loss`, and for classes `error`.

    Raises:
        ValueError: If the split is empty.
    """
    count = length(split)
    if not count:
        raise ValueError("`split` is empty, but an evaluation needs examples.")
    size = min(batch_size, count)
    graph, state = _evaluated(net)
    found = []
    for inputs, labels in _pairs(split, size):
        task = task or default_task(labels)
        x, y = jax.tree.map(lambda array: padded(array, size), (inputs, labels))
        number = jnp.int32(len(jax.tree.leaves(labels)[0]))
        found.append(_compiled_metrics()(graph, task, state, x, y, number))
    total = Counter()
    for one in jax.device_get(found):
        total.update({name: float(x) for name, x in one.items()})
    return divide(total)


def _pairs(split: Split | Source, size: int) -> Iterator[tuple[Any, Any]]:
    """Inputs and labels of a split, `size` at a time."""
    if not isinstance(split, Mapping):
        yield from batches(split, np.arange(len(split)), size)
        return
    pair = inputs_of(split), split["label"]
    for start in range(0, length(split), size):
        yield jax.tree.map(lambda array, i=start: array[i : i + size], pair)
