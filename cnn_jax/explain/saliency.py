"""Saliency: the gradient of a logit with respect to the input."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.explain.inputs import Network, gradient, prepared


def saliency(
    f: Network,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    absolute: bool = False,
) -> Float[Array, "..."]:
    """Gradient of the target's logit with respect to the input.

        score[i] = ∂ f(x)[target] / ∂ x[i]

    Args:
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs: images, signals, spectrograms or rows of a table.
        target: A class for all inputs, one for each, or None for the largest logit.
        absolute: Whether the sign is dropped, which is captum's default.

    Returns:
        A score for every number of `x`.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, or `f` is in training mode.

    Example:
        >>> weights = jnp.array([[1.0, -2.0], [3.0, 0.0]])
        >>> saliency(lambda x: x @ weights, jnp.array([5.0, 7.0]), 1)
        Array([-2.,  0.], dtype=float32)

    Source:
        Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks", 2013,
        arXiv:1312.6034, section 3.
    """
    x, target = prepared(f, x, target)
    scores = gradient(f, x, target)
    return jnp.abs(scores) if absolute else scores
