"""Convolution as one matrix product: every patch a row, every kernel a column.

The products stay products under `vmap`, so that many networks train at once without the
grouped convolution that XLA makes of a batched kernel.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry


def patches(x: jax.Array, geometry: Geometry) -> jax.Array:
    """`[batch, *spatial, channels]` to `[batch, *places, taps, channels]`."""
    x = jnp.pad(x, [(0, 0), *geometry.pads, (0, 0)])
    taps = itertools.product(*map(range, geometry.window))
    return jnp.stack([_seen_by(x, tap, geometry) for tap in taps], axis=-2)


def _seen_by(x: jax.Array, tap: tuple[int, ...], geometry: Geometry) -> jax.Array:
    """What one tap of the window reads at every place of the padded `x`."""
    for axis, u in enumerate(tap):
        start = u * geometry.dilation[axis]
        stop = start + geometry.stride[axis] * (geometry.places[axis] - 1) + 1
        x = lax.slice_in_dim(x, start, stop, geometry.stride[axis], axis=axis + 1)
    return x


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, *spatial, in]` with `[*window, in, out]`."""
    taps, groups = math.prod(geometry.window), geometry.groups
    *_, group_channels, out_channels = kernel.shape
    columns = patches(x, geometry)
    columns = columns.reshape(*columns.shape[:-1], groups, group_channels)
    weights = kernel.reshape(taps, group_channels, groups, out_channels // groups)
    out = jnp.einsum("...tgc,tcgo->...go", columns, weights, precision=precision)
    return out.reshape(*out.shape[:-2], out_channels)
