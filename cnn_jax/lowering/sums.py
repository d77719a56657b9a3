"""Sums over everything but the channels."""

from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax


def channel_sum(*factors: jax.Array) -> jax.Array:
    """Σ of the products of arrays of one shape, for each channel, the last axis."""
    return lax.platform_dependent(*factors, cpu=sum_in_parts, default=_at_once)


def _at_once(*factors: jax.Array) -> jax.Array:
    product = reduce(jnp.multiply, factors)
    return jnp.sum(product, axis=tuple(range(product.ndim - 1)))


def sum_in_parts(*factors: jax.Array) -> jax.Array:
    """In eight parts, as one loop over a part, and the rest by a product with ones.

    XLA on a CPU either writes the products out for a library to add, or merges them
    into a sum that no vector unit can do: 1.8 ms here, against 2.5 and 28 ms for the
    kernel-gradient of a depthwise 3 × 3 over 64 × 32² places of 32 channels.
    """
    rows = [x.reshape(-1, x.shape[-1]) for x in factors]
    parts = next(n for n in range(8, 0, -1) if rows[0].shape[0] % n == 0)
    split = zip(*(jnp.split(x, parts) for x in rows), strict=True)
    total = reduce(jnp.add, (reduce(jnp.multiply, part) for part in split))
    ones = jnp.ones(total.shape[0], total.dtype)
    return jnp.matmul(ones, total, precision="highest")
