"""Grouped convolution as one separate convolution per group."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.lowering import direct, volume
from cnn_jax.lowering.geometry import Geometry


def can(geometry: Geometry) -> bool:
    """More than one group."""
    return geometry.groups > 1


def conv(x: jax.Array, kernel: jax.Array, *, geometry: Geometry, precision=None):
    """The convolution of `[batch, *spatial, in]` with `[*window, in / groups, out]`."""
    return _per_group(_method(geometry).conv, x, kernel, geometry, precision)


def input_gradient(
    y: jax.Array, kernel: jax.Array, *, geometry: Geometry, precision=None
):
    """The input gradient of `[batch, *out_size, out]`."""
    return _per_group(_method(geometry).input_gradient, y, kernel, geometry, precision)


def kernel_gradient(x: jax.Array, y: jax.Array, *, geometry: Geometry, precision=None):
    """The kernel gradient of `x` and `y`."""
    return _per_group(_method(geometry).kernel_gradient, x, y, geometry, precision)


def _method(geometry: Geometry):
    return volume if volume.can(geometry._replace(groups=1)) else direct


def _per_group(run: Callable, a, b, geometry: Geometry, precision) -> jax.Array:
    pairs = (jnp.split(array, geometry.groups, axis=-1) for array in (a, b))
    one = geometry._replace(groups=1)
    parts = [
        run(*pair, geometry=one, precision=precision)
        for pair in zip(*pairs, strict=True)
    ]
    return jnp.concatenate(parts, axis=-1)
