"""Pooling, one spatial axis after another, without a scatter in any gradient.

The last axis is reduced first, so that of equal maxima the first in row-major order is
kept. Half-precision values are promoted to float32, because either the result or its
gradient is a sum.
"""

import math
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry, promote_to_float32
from cnn_jax.lowering.patches import taps

MaxAndIndex = tuple[jax.Array, jax.Array]


def max_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The maximum of each window; the first of equal values gets the gradient."""
    best = promote_to_float32(x)
    for axis in reversed(range(len(geometry.window))):
        best = reduce(_first_maximum, taps(best, geometry, axis, fill=-jnp.inf))
    return best.astype(x.dtype)


def max_pool_with_indices(x: jax.Array, geometry: Geometry) -> MaxAndIndex:
    """The maximum of each window, and its index in the flattened spatial axes."""
    best, at = promote_to_float32(x), _flat_index(geometry.size)
    for axis in reversed(range(len(geometry.window))):
        values = taps(best, geometry, axis, fill=-jnp.inf)
        indices = taps(at, geometry, axis, fill=-1)
        best, at = reduce(_first_maximum_and_index, zip(values, indices, strict=True))
    return best.astype(x.dtype), jnp.broadcast_to(at, best.shape)


def sum_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The sum of each window."""
    total = promote_to_float32(x)
    for axis in reversed(range(len(geometry.window))):
        total = reduce(jnp.add, taps(total, geometry, axis, fill=0))
    return total.astype(x.dtype)


def adaptive_avg_pool(x: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """The mean of each of `size` bins."""
    mean = promote_to_float32(x)
    for axis in reversed(range(len(size))):
        bins = _bins(mean, axis, size[axis])
        mean = _concatenate_bins([jnp.mean(part, axis=axis + 2) for part in bins], axis)
    return mean.astype(x.dtype)


def adaptive_max_pool(x: jax.Array, size: tuple[int, ...]) -> MaxAndIndex:
    """The maximum of each of `size` bins, and its index in the flattened axes."""
    best, at = (
        promote_to_float32(x),
        jnp.broadcast_to(_flat_index(x.shape[1:-1]), x.shape),
    )
    for axis in reversed(range(len(size))):
        parts = (_bins(part, axis, size[axis]) for part in (best, at))
        maxima = [
            _first_of_axis(*pair, axis=axis + 2) for pair in zip(*parts, strict=True)
        ]
        best, at = (
            _concatenate_bins(list(parts), axis) for parts in zip(*maxima, strict=True)
        )
    return best.astype(x.dtype), at


def _flat_index(size: tuple[int, ...]) -> jax.Array:
    return jnp.arange(math.prod(size), dtype=jnp.int32).reshape(1, *size, 1)


def _first_maximum(best: jax.Array, value: jax.Array) -> jax.Array:
    # `>` is False for NaN, which must propagate.
    return jnp.where((value > best) | jnp.isnan(value), value, best)


def _first_maximum_and_index(best: MaxAndIndex, new: MaxAndIndex) -> MaxAndIndex:
    # Values of `x` win over the padding (index −1), even −∞.
    wins = (new[0] > best[0]) | jnp.isnan(new[0]) | ((best[1] < 0) & (new[1] >= 0))
    return jnp.where(wins, new[0], best[0]), jnp.where(wins, new[1], best[1])


def _first_of_axis(x: jax.Array, at: jax.Array, *, axis: int) -> MaxAndIndex:
    """The first maximum along an axis, by a mask: the gradient of a gather scatters."""
    best = jnp.argmax(x, axis=axis, keepdims=True)
    picked = lax.broadcasted_iota(best.dtype, x.shape, axis) == best
    pick: Callable = partial(jnp.sum, axis=axis)
    return pick(jnp.where(picked, x, 0)), pick(jnp.where(picked, at, 0))


def _bins(x: jax.Array, axis: int, bins: int) -> list[jax.Array]:
    """The values of each bin, ⌊i·n / m⌋ … ⌈(i + 1)·n / m⌉ − 1, along one axis.

    The pattern of bins repeats gcd(n, m) times along the axis. The repeats become an
    axis before it, so that only the bins of one repeat are sliced.
    """
    n = x.shape[axis + 1]
    parts = math.gcd(n, bins)
    x = x.reshape(*x.shape[: axis + 1], parts, n // parts, *x.shape[axis + 2 :])
    return [
        lax.slice_in_dim(x, i * n // bins, -(-(i + 1) * n // bins), axis=axis + 2)
        for i in range(bins // parts)
    ]


def _concatenate_bins(reduced: list[jax.Array], axis: int) -> jax.Array:
    """The reduced bins in order along one spatial axis."""
    return lax.collapse(jnp.stack(reduced, axis=axis + 2), axis + 1, axis + 3)
