"""Metrics as sums over examples and a count, divided once at the end.

An average of batch averages is wrong when the last batch is short.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped
from scipy import stats

Loss = Callable[[Array, Array], Array]
Metrics = dict[str, Array]


def batch_metrics(
    loss: Loss,
    logits: Float[Array, "batch ..."],
    labels: Shaped[Array, "batch ..."],
    mask: Float[Array, " batch"] | None = None,
) -> Metrics:
    """The summed loss and errors of a batch, and the count of its examples.

    Args:
        loss: From logits and labels to one loss per example, as optax's are.
        logits: Outputs of the network.
        labels: Whole numbers, shaped as the logits without the axis of classes; or a 0
            or 1 for every logit where several classes may be true; or quantities, in
            floats.
        mask: 1 for an example and 0 for a padding row; all count by default.

    Returns:
        `loss`, `count` and, where labels are whole numbers or booleans, `error`: the
        number of examples whose largest logit is that of another class, or the sum of
        their shares of logits with the wrong sign.

    Example:
        >>> import optax
        >>> logits = jnp.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
        >>> cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        >>> three = batch_metrics(cross_entropy, logits, jnp.array([0, 0, 1]))
        >>> divide(three)["error"]
        Array(0.33333334, dtype=float32)
    """
    mask = jnp.ones(len(labels)) if mask is None else mask
    number = labels.astype(jnp.int32) if labels.dtype == bool else labels
    each = loss(logits, number)
    each = each.reshape(len(labels), -1).mean(axis=1)
    # The loss of a padding row may be NaN, so it is replaced, not multiplied by 0.
    found = {"loss": jnp.sum(jnp.where(mask > 0, each, 0.0)), "count": jnp.sum(mask)}
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        several = labels.shape == logits.shape
        predicted = logits > 0 if several else jnp.argmax(logits, axis=-1)
        wrong = predicted != labels
        found["error"] = jnp.sum(wrong.reshape(len(labels), -1).mean(axis=1) * mask)
    return found


def divide(total: Mapping[str, Any]) -> dict[str, Any]:
    """The mean of each sum over the count."""
    return {name: total[name] / total["count"] for name in total if name != "count"}


def mean_interval(
    values: Sequence[float] | np.ndarray, *, level: float = 0.95
) -> tuple[float, float, float]:
    """A mean over seeds, and Student's confidence interval for it.

        mean ± t · s / √n,  with t of n − 1 degrees of freedom

    Differences between two methods on the same seeds give the paired interval.

    Args:
        values: One per seed, two at least.
        level: How often such an interval holds the true mean.

    Returns:
        The mean, and the lower and upper end.

    Raises:
        ValueError: If there are fewer than two values.

    Example:
        >>> mean, low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(mean, 2), round(low, 2), round(high, 2)
        (2.0, -0.48, 4.48)

    Source:
        Student, "The probable error of a mean", 1908.
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"`values` has {values.size} entries, but needs at least two.")
    mean, error = values.mean(), stats.sem(values)
    reach = stats.t.interval(level, values.size - 1)[1] * error
    return float(mean), float(mean - reach), float(mean + reach)
