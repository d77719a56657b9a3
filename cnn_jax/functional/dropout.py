"""Dropout of single values or whole feature maps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from cnn_jax.functional.checks import Number, floating, spatial_axes


def dropout(
    key: Key[Array, ""], x: Float[Array, "*shape"], rate: Number, *, spatial: int = 0
) -> Float[Array, "*shape"]:
    """Sets values to zero at random and scales the rest by 1 / (1 − rate).

        out = x · m / (1 − rate),  with m = 0 with probability `rate`, else 1

    so that the expectation of `out` is `x`.

    Args:
        key: JAX random key.
        x: Values of any shape.
        rate: Probability of zero for each value.
        spatial: Number of spatial axes that are set to zero together: 0 for single
            values, 2 for whole feature maps of images.

    Returns:
        Values of the same shape.

    Raises:
        TypeError: If `x` is not floating point, or has fewer axes than `spatial` says.
        ValueError: If `rate` is not at least 0 and below 1, or `spatial` not 0 to 3.

    Example:
        >>> dropout(jax.random.key(0), jnp.ones(5), 0.5)
        Array([0., 0., 2., 2., 0.], dtype=float32)

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, "Dropout: A Simple
        Way to Prevent Neural Networks from Overfitting", 2014, section 10; for maps,
        Tompson et al., "Efficient Object Localization Using Convolutional Networks",
        2015, arXiv:1411.4280, section 3.2.
    """
    (x,) = floating(x=x)
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` is {rate}, but must be at least 0 and below 1.")
    shared = spatial_axes(x, spatial) if spatial != 0 else ()
    shape = [1 if i - x.ndim in shared else n for i, n in enumerate(x.shape)]
    keep = jnp.broadcast_to(jax.random.bernoulli(key, 1 - rate, shape), x.shape)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
