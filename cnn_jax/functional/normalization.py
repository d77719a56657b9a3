"""What keeps the values inside a network healthy while it trains."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from cnn_jax.functional.door import floating


def dropout(
    key: Key[Array, ""], x: Float[Array, "*shape"], rate: float
) -> Float[Array, "*shape"]:
    """Silences each value with probability `rate`, and lifts the others to make up.

        out = x · m / (1 − rate),  with m = 0 with probability `rate`, else 1

    so that the expectation of `out` is `x`.

    Args:
        key: Decides which values are silenced.
        x: Values of any shape.
        rate: The share to silence.

    Returns:
        Values of the same shape.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `rate` is not at least 0 and below 1.

    Example:
        >>> dropout(jax.random.key(0), jnp.ones(5), 0.5)
        Array([0., 0., 2., 2., 0.], dtype=float32)

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, "Dropout: A Simple
        Way to Prevent Neural Networks from Overfitting", 2014, section 10.
    """
    (x,) = floating(x=x)
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` is {rate}, but must be at least 0 and below 1.")
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
