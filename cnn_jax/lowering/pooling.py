"""Pooling, one spatial axis after another, without a scatter in any gradient.

A maximum, a sum or a mean over a window is taken axis by axis. The last axis goes
first, so that the first of equal maxima in reading order survives. Half-width floats
are widened on the way, for the sake of sums, be it in the gradient alone.
"""

import math
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry, promote_to_float32
from cnn_jax.lowering.patches import taps

Found = tuple[jax.Array, jax.Array]


def max_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The largest value of each window; the first of equals gets the gradient."""
    best = promote_to_float32(x)
    for axis in reversed(range(len(geometry.window))):
        best = reduce(_first_maximum, taps(best, geometry, axis, empty=-jnp.inf))
    return best.astype(x.dtype)


def max_pool_with_indices(x: jax.Array, geometry: Geometry) -> Found:
    """The largest value of each window, and where it lies in the flat `x`."""
    best, at = promote_to_float32(x), _flat_index(geometry.size)
    for axis in reversed(range(len(geometry.window))):
        values = taps(best, geometry, axis, empty=-jnp.inf)
        places = taps(at, geometry, axis, empty=-1)
        best, at = reduce(_first_found, zip(values, places, strict=True))
    return best.astype(x.dtype), jnp.broadcast_to(at, best.shape)


def sum_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The sum of each window."""
    total = promote_to_float32(x)
    for axis in reversed(range(len(geometry.window))):
        total = reduce(jnp.add, taps(total, geometry, axis, empty=0))
    return total.astype(x.dtype)


def adaptive_avg_pool(x: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """The mean of each of `size` bins."""
    mean = promote_to_float32(x)
    for axis in reversed(range(len(size))):
        bins = _bins(mean, axis, size[axis])
        mean = _joined([jnp.mean(part, axis=axis + 2) for part in bins], axis)
    return mean.astype(x.dtype)


def adaptive_max_pool(x: jax.Array, size: tuple[int, ...]) -> Found:
    """The largest value of each of `size` bins, and where it lies in the flat `x`."""
    best, at = (
        promote_to_float32(x),
        jnp.broadcast_to(_flat_index(x.shape[1:-1]), x.shape),
    )
    for axis in reversed(range(len(size))):
        parts = (_bins(part, axis, size[axis]) for part in (best, at))
        found = [
            _first_of_axis(*pair, axis=axis + 2) for pair in zip(*parts, strict=True)
        ]
        best, at = (_joined(list(parts), axis) for parts in zip(*found, strict=True))
    return best.astype(x.dtype), at


def _flat_index(size: tuple[int, ...]) -> jax.Array:
    return jnp.arange(math.prod(size), dtype=jnp.int32).reshape(1, *size, 1)


def _first_maximum(best: jax.Array, value: jax.Array) -> jax.Array:
    # NaN is larger than nothing by `>`, and must win all the same.
    return jnp.where((value > best) | jnp.isnan(value), value, best)


def _first_found(best: Found, new: Found) -> Found:
    # Whatever lies on `x` wins over the padding, even −∞.
    wins = (new[0] > best[0]) | jnp.isnan(new[0]) | ((best[1] < 0) & (new[1] >= 0))
    return jnp.where(wins, new[0], best[0]), jnp.where(wins, new[1], best[1])


def _first_of_axis(x: jax.Array, at: jax.Array, *, axis: int) -> Found:
    """The first maximum along an axis: picked by a mask, for a gather scatters back."""
    best = jnp.argmax(x, axis=axis, keepdims=True)
    picked = lax.broadcasted_iota(best.dtype, x.shape, axis) == best
    pick: Callable = partial(jnp.sum, axis=axis)
    return pick(jnp.where(picked, x, 0)), pick(jnp.where(picked, at, 0))


def _bins(x: jax.Array, axis: int, bins: int) -> list[jax.Array]:
    """The values of each bin, ⌊i·n / m⌋ … ⌈(i + 1)·n / m⌉ − 1, along one spatial axis.

    The bins repeat with every gcd(n, m)-th part of the axis. These parts become an axis
    of their own in front of it, so that only the bins of one part are sliced.
    """
    n = x.shape[axis + 1]
    parts = math.gcd(n, bins)
    x = x.reshape(*x.shape[: axis + 1], parts, n // parts, *x.shape[axis + 2 :])
    return [
        lax.slice_in_dim(x, i * n // bins, -(-(i + 1) * n // bins), axis=axis + 2)
        for i in range(bins // parts)
    ]


def _joined(reduced: list[jax.Array], axis: int) -> jax.Array:
    """The reduced bins of every part, in order along one spatial axis."""
    return lax.collapse(jnp.stack(reduced, axis=axis + 2), axis + 1, axis + 3)
