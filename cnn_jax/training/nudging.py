"""Learning without calculus: nudge a weight up and down, and keep what is better.

Automatic differentiation tells in one pass back what these functions ask the error
about twice per weight. They are here to be understood, and to check the other by.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Error = Callable[[Array], Array]


def nudge(
    error: Error, weights: Float[Array, " weights"], size: float
) -> Float[Array, " weights"]:
    """Tries every weight a little higher and a little lower, one after the other.

    A nudge that makes the error less is kept before the next weight is tried; if both
    do, the better one; if neither does, the weight stays.

    Args:
        error: From weights to how wrong they are.
        weights: Where to start.
        size: How far to nudge.

    Returns:
        Weights that are no worse, after 2 · weights + 1 evaluations of the error.

    Example:
        >>> nudge(lambda w: jnp.sum(w**2), jnp.array([1.0, -1.0, 0.0]), 0.25)
        Array([ 0.75, -0.75,  0.  ], dtype=float32)

    Source:
        Rohrer, "How Convolutional Neural Networks Work", 2016, "Backpropagation".
    """

    def try_weight(i: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        weights, least = found
        tried = _up_and_down(weights, i, size)
        now = jax.vmap(error)(tried)
        best = jnp.argmin(now)
        weights = jnp.where(now[best] < least, tried[best], weights)
        return weights, jnp.minimum(now[best], least)

    start = (weights, error(weights))
    return jax.lax.fori_loop(0, weights.size, try_weight, start)[0]


def difference_gradient(
    error: Error, weights: Float[Array, " weights"], size: float
) -> Float[Array, " weights"]:
    """The slope of the error in each weight, from the same two nudges.

        g[i] = (error(w + ε·eᵢ) − error(w − ε·eᵢ)) / 2ε

    Args:
        error: From weights to how wrong they are.
        weights: Where the slope is asked for.
        size: How far to nudge, ε.

    Returns:
        An estimate of the gradient, wrong by ε² · third derivative / 6.

    Example:
        >>> difference_gradient(lambda w: jnp.sum(w**2), jnp.array([1.0, -2.0]), 0.5)
        Array([ 2., -4.], dtype=float32)

    Source:
        Abramowitz & Stegun, "Handbook of Mathematical Functions", 1964, 25.3.21.
    """

    def slope(i: Array) -> Array:
        up, down = jax.vmap(error)(_up_and_down(weights, i, size))
        return (up - down) / (2 * size)

    return jax.lax.map(slope, jnp.arange(weights.size))


def _up_and_down(weights: Array, i: Array, size: float) -> Array:
    return jnp.stack([weights.at[i].add(size), weights.at[i].add(-size)])
