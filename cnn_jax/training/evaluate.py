"""Predictions and metrics of a trained network."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Source, Split, as_float, input_name
from cnn_jax.data.dataset import batches, length
from cnn_jax.lowering import compiler_options
from cnn_jax.nn import Chain
from cnn_jax.training.feed import filled
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.metrics import Loss, Metrics, batch_metrics, divide


@cache  # Not before the first call, for it asks which device there is.
def _compiled() -> Any:
    return jax.jit(_outputs, static_argnums=0, compiler_options=compiler_options())


@cache
def _compiled_sums() -> Any:
    def total(
        graph: nnx.GraphDef, loss: Loss, state: nnx.State, x: Array, y: Array, n: Array
    ) -> Metrics:
        mask = (jnp.arange(len(x)) < n).astype(jnp.float32)
        return batch_metrics(loss, _outputs(graph, state, x), y, mask)

    options = compiler_options()
    return jax.jit(total, static_argnums=(0, 1), compiler_options=options)


def _outputs(graph: nnx.GraphDef, state: nnx.State, x: Array) -> Array:
    net: Any = nnx.merge(graph, state)
    return net(as_float(x))


def _evaluated(net: Chain) -> tuple[nnx.GraphDef, nnx.State]:
    """The parts of a network in evaluation mode."""
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.split(nnx.view(net, raise_if_not_found=False, **modes))


def predict(net: Chain, inputs: np.ndarray, *, batch_size: int = 512) -> np.ndarray:
    """The logits of a network for every input, in evaluation mode.

    Every batch has the same shape, the last filled up, so that one compilation serves
    all.

    Args:
        net: The network.
        inputs: Any number of them.
        batch_size: How many go through the network at once, at most.

    Returns:
        The logits, one row per input.

    Raises:
        ValueError: If there are no inputs.
    """
    if not len(inputs):
        raise ValueError("`inputs` is empty, but a prediction needs at least one.")
    batch_size = min(batch_size, len(inputs))
    graph, state = _evaluated(net)
    found = []
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        logits = _compiled()(graph, state, jnp.asarray(filled(batch, batch_size)))
        found.append(np.asarray(logits)[: len(batch)])
    return np.concatenate(found)


def evaluate(
    net: Chain,
    split: Split | Source,
    *,
    loss: Loss = cross_entropy,
    batch_size: int = 512,
) -> dict[str, float]:
    """The mean loss of a split, and the error rate.

    Metrics are taken batch by batch on the device, so that no more than one batch of
    outputs is held.

    Args:
        net: The network, in evaluation mode.
        split: Inputs and labels, such as `data.test`; or a source, which is streamed.
        loss: From logits and labels to one loss per example.
        batch_size: How many go through the network at once, at most.

    Returns:
        `loss` and, where labels are whole numbers, `error`.

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
        x, y = (jnp.asarray(filled(array, size)) for array in (inputs, labels))
        number = jnp.int32(len(labels))
        found.append(_compiled_sums()(graph, loss, state, x, y, number))
    total = Counter()
    for one in jax.device_get(found):
        total.update({name: float(x) for name, x in one.items()})
    return divide(total)


def _pairs(split: Split | Source, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels of a split, `size` at a time."""
    if not isinstance(split, Mapping):
        yield from batches(split, np.arange(len(split)), size)
        return
    inputs, labels = split[input_name(split)], split["label"]
    for start in range(0, len(labels), size):
        yield inputs[start : start + size], labels[start : start + size]
