"""The usual losses by name; `fit` takes any other as a function."""

from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from cnn_jax.tasks.metrics import Loss

LossName = Literal["cross_entropy", "sigmoid", "squared", "absolute", "huber"]

cross_entropy: Loss = optax.softmax_cross_entropy_with_integer_labels

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "sigmoid": optax.sigmoid_binary_cross_entropy,
    "squared": optax.squared_error,
    "absolute": lambda logits, targets: jnp.abs(logits - targets),
    "huber": optax.huber_loss,
}


@lru_cache(maxsize=32)  # The same names give the same object, so steps compile once.
def named_loss(
    name: LossName,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, ...] | None = None,
) -> Loss:
    """A loss for one class of many, for several classes at once, or for quantities.

    `cross_entropy` takes whole numbers as labels, one per example or per position;
    `sigmoid` takes a 0 or 1 for every class, and the others numbers as they are. With
    smoothing a, K classes and weights w, for a label y as zeros and a one,

        cross_entropy:  w[y] · H((1 − a)·y + a/K, softmax(logits))
        sigmoid:        w[c]^y[c] · H((1 − a)·y[c] + a/2, sigmoid(logits[c]))

    Args:
        name: One of `LOSSES`.
        label_smoothing: a.
        class_weights: w. A mean over examples still divides by how many they are.

    Returns:
        From logits and labels to a loss per example, position or class.

    Raises:
        ValueError: If smoothing or weights are asked for where there are no classes.

    Example:
        >>> loss = named_loss("cross_entropy", class_weights=(1.0, 1.0, 2.0, 1.0))
        >>> loss(jnp.zeros((1, 4)), jnp.array([2])).round(4)  # 2 · ln 4
        Array([2.7726], dtype=float32)

    Source:
        Szegedy et al., "Rethinking the Inception architecture for computer vision",
        2015, arXiv:1512.00567, section 7, for the smoothing.
    """
    plain = LOSSES[name]
    if not label_smoothing and class_weights is None:
        return plain
    if name not in ("cross_entropy", "sigmoid"):
        raise ValueError(
            f"`loss` is {name!r}, which has no classes, so `label_smoothing` must be 0 "
            "and `class_weights` None."
        )
    shaped = _cross_entropy if name == "cross_entropy" else _sigmoid

    def loss(logits: Array, labels: Array) -> Array:
        count = logits.shape[-1]
        weights = jnp.ones(count) if class_weights is None else jnp.array(class_weights)
        return shaped(logits, labels, label_smoothing, weights)

    return loss


def _cross_entropy(logits: Array, labels: Array, smooth: float, w: Array) -> Array:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smooth)
    return w[labels] * optax.softmax_cross_entropy(logits, targets)


def _sigmoid(logits: Array, labels: Array, smooth: float, w: Array) -> Array:
    targets = (1 - smooth) * labels + smooth / 2
    each = optax.sigmoid_binary_cross_entropy(logits, targets)
    return jnp.where(labels > 0, jnp.broadcast_to(w, each.shape), 1.0) * each
