"""Pooling as slices along one axis after another.

The window is a product of its axes, so a maximum or sum over it is taken axis by axis:
k₁ + k₂ slices instead of k₁ · k₂. The transpose of a strided slice is a dilated pad, so
no gradient scatters: the result is the same in every run, also where windows overlap.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry

Combine = Callable[[jax.Array, jax.Array], jax.Array]


def max_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The largest value of each window; the first of equals gets the gradient."""
    return _reduce(x, geometry, _first_maximum, -jnp.inf)


def sum_pool(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The sum of each window, added up in float32 or wider."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return _reduce(wide, geometry, jnp.add, 0.0).astype(x.dtype)


def _first_maximum(best: jax.Array, value: jax.Array) -> jax.Array:
    # NaN is larger than nothing by `>`, and must win all the same.
    return jnp.where((value > best) | jnp.isnan(value), value, best)


def _reduce(
    x: jax.Array, geometry: Geometry, combine: Combine, empty: float
) -> jax.Array:
    # The last axis goes first, so that the first of equals in reading order survives.
    for axis in reversed(range(len(geometry.window))):
        x = _reduce_axis(x, geometry, axis, combine, empty)
    return x


def _reduce_axis(
    x: jax.Array, geometry: Geometry, axis: int, combine: Combine, empty: float
) -> jax.Array:
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    reach = stride * (geometry.places[axis] - 1) + 1
    # The far pad may be cut (negative) where no window reaches the end of the axis.
    low = geometry.pads[axis][0]
    high = reach + dilation * (geometry.window[axis] - 1) - geometry.size[axis] - low
    config = [(0, 0, 0)] * x.ndim
    config[axis + 1] = (low, high, 0)
    x = lax.pad(x, jnp.asarray(empty, x.dtype), config)
    slices = [
        lax.slice_in_dim(x, start, start + reach, stride, axis=axis + 1)
        for start in range(0, dilation * geometry.window[axis], dilation)
    ]
    out = slices[0]
    for value in slices[1:]:
        out = combine(out, value)
    return out
