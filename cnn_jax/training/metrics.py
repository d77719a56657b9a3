"""Count, then divide: sums over examples, and how many there were.

An average of averages is wrong when the last batch is short; a sum over a count is not.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

Loss = Callable[[Array, Array], Array]
Sums = dict[str, Array]


def sums(
    loss: Loss,
    votes: Float[Array, "batch *classes"],
    labels: Shaped[Array, "batch *targets"],
    mask: Float[Array, " batch"] | None = None,
) -> Sums:
    """The summed loss and errors of a batch, and the count of its examples.

    Args:
        loss: From votes and labels to one loss per example, as optax's are.
        votes: What the network says.
        labels: What is true; whole numbers where a class is voted for.
        mask: 1 for an example and 0 for what only fills the batch; all count by default.

    Returns:
        `loss`, `count` and, where labels are whole numbers, `error`: how many examples
        the most votes went to another class.

    Example:
        >>> import optax
        >>> votes = jnp.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
        >>> cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        >>> three = sums(cross_entropy, votes, jnp.array([0, 0, 1]))
        >>> divide(three)["error"]
        Array(0.33333334, dtype=float32)
    """
    mask = jnp.ones(len(labels)) if mask is None else mask
    each = loss(votes, labels)
    each = each.reshape(len(labels), -1).mean(axis=1)
    # A filler's loss may be anything, so it is replaced, not multiplied by zero.
    found = {"loss": jnp.sum(jnp.where(mask > 0, each, 0.0)), "count": jnp.sum(mask)}
    if jnp.issubdtype(labels.dtype, jnp.integer):
        wrong = jnp.argmax(votes, axis=-1) != labels
        found["error"] = jnp.sum(wrong.reshape(len(labels), -1).mean(axis=1) * mask)
    return found


def divide(total: Mapping[str, Any]) -> dict[str, Any]:
    """The mean of each sum over the count."""
    return {name: total[name] / total["count"] for name in total if name != "count"}
