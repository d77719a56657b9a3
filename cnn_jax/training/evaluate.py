"""What a trained network says of examples, and how often it is right."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Source, Split, as_float, input_name
from cnn_jax.data.dataset import batches
from cnn_jax.lowering import compiler_options
from cnn_jax.nn import Chain
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.metrics import Loss, divide, sums


@cache  # Not before the first call, for it asks which device there is.
def _compiled() -> Any:
    def votes(graph: nnx.GraphDef, state: nnx.State, x: Array) -> Array:
        net: Any = nnx.merge(graph, state)
        return net(as_float(x))

    return jax.jit(votes, static_argnums=0, compiler_options=compiler_options())


def predict(net: Chain, inputs: np.ndarray, *, batch_size: int = 512) -> np.ndarray:
    """The votes of a network for every input, in evaluation mode.

    Every batch has the same shape, the last filled up, so that one compilation serves
    all.

    Args:
        net: The network.
        inputs: Any number of them.
        batch_size: How many go through the network at once, at most.

    Returns:
        The votes, one row per input.

    Raises:
        ValueError: If there are no inputs.
    """
    if not len(inputs):
        raise ValueError("`inputs` is empty, but there must be something to vote on.")
    batch_size = min(batch_size, len(inputs))
    graph, state = nnx.split(
        nnx.view(
            net,
            raise_if_not_found=False,
            deterministic=True,
            use_running_average=True,
        )
    )
    found = []
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        fill = [(0, batch_size - len(batch))] + [(0, 0)] * (batch.ndim - 1)
        votes = _compiled()(graph, state, jnp.asarray(np.pad(batch, fill)))
        found.append(np.asarray(votes)[: len(batch)])
    return np.concatenate(found)


def evaluate(
    net: Chain,
    split: Split | Source,
    *,
    loss: Loss = cross_entropy,
    batch_size: int = 512,
) -> dict[str, float]:
    """The mean loss of a split, and the share of wrong votes.

    Args:
        net: The network; it is put to the test in evaluation mode.
        split: Inputs and labels, such as `data.test`; or a source, which is streamed.
        loss: From votes and labels to one loss per example.
        batch_size: How many go through the network at once, at most.

    Returns:
        `loss` and, where labels are whole numbers, `error`.
    """
    if isinstance(split, Mapping):
        pairs = [(split[input_name(split)], split["label"])]
    else:
        pairs = batches(split, np.arange(len(split)), batch_size)
    total = Counter()
    for inputs, labels in pairs:
        votes = jnp.asarray(predict(net, inputs, batch_size=batch_size))
        found = sums(loss, votes, jnp.asarray(labels))
        total.update({name: float(x) for name, x in found.items()})
    return divide(total)
