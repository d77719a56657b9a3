"""Convolution as one matrix product of tiles of a row with a Toeplitz matrix.

A tile of t output positions along the last spatial axis reads t + k − 1 inputs (at
stride and dilation 1) in each of the rows under the window. The matrix contains the
kernel once per output position, shifted by one each time:

    T[u + p, p] = kernel[u]    for taps u < k and positions p < t

It multiplies zeros that the direct sum does not have, but copies less, which is faster
with few channels and where XLA uses a slow path. With t = 1 there are no zeros, and a
tile is a patch: im2col.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.lowering.geometry import Geometry


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, *spatial, in]` with `[*window, in, out]`."""
    *window, group_channels, out_channels = kernel.shape
    groups, out_size = geometry.groups, geometry.out_size
    tile = _tile(out_size[-1], group_channels)
    starts = _starts(tile, geometry)
    columns = _tiles(x, starts.shape[1], tile, geometry)
    taps = kernel.reshape(
        -1, window[-1], group_channels, groups, out_channels // groups
    )
    matrix = jnp.einsum(
        "ulp,rucgo->grlcpo", starts.astype(kernel.dtype), taps, precision=precision
    )

    # Matrices [groups, many, few]: products with more axes are slower.
    many, few = math.prod(columns.shape[:-1]), math.prod(matrix.shape[1:4])
    columns = columns.reshape(many, few // group_channels, groups, group_channels)
    columns = jnp.moveaxis(columns, 2, 0).reshape(groups, many, few)
    matrix = matrix.reshape(groups, few, tile * out_channels // groups)
    out = jnp.matmul(columns, matrix, precision=precision)
    out = out.reshape(groups, many * tile, out_channels // groups)
    out = jnp.moveaxis(out, 0, 1)

    tiles = math.ceil(out_size[-1] / tile)
    out = out.reshape(x.shape[0], *out_size[:-1], tiles * tile, out_channels)
    return lax.slice_in_dim(out, 0, out_size[-1], axis=len(window))


def _tile(size: int, channels: int) -> int:
    """Output positions per tile: at most 8 with few channels, else 2; tiles equal."""
    maximum = 8 if channels <= 16 else 2
    return math.ceil(size / math.ceil(size / maximum))


def _starts(tile: int, geometry: Geometry) -> np.ndarray:
    """Whether tap u reads input l for output position p of a tile: `[u, l, p]`."""
    stride, dilation = geometry.stride[-1], geometry.dilation[-1]
    u, p = np.arange(geometry.window[-1])[:, None, None], np.arange(tile)
    last = dilation * (geometry.window[-1] - 1) + stride * (tile - 1)
    return u * dilation + p * stride == np.arange(last + 1)[:, None]


def _tiles(x: jax.Array, reach: int, tile: int, geometry: Geometry) -> jax.Array:
    """`[batch, *rows, tiles, rows of the window · reach · channels]`."""
    axis, step = len(geometry.window), tile * geometry.stride[-1]
    tiles = math.ceil(geometry.out_size[-1] / tile)
    near = geometry.pads[-1][0]
    far = (tiles - 1) * step + reach - geometry.size[-1] - near
    pads = [(0, 0), *geometry.pads[:-1], (near, far), (0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(low, high, 0) for low, high in pads])
    taps = itertools.product(*map(range, geometry.window[:-1]))
    rows = [_window_row(x, tap, geometry) for tap in taps]
    columns = []
    for start in range(0, tiles * step, step):
        parts = [lax.slice_in_dim(row, start, start + reach, axis=axis) for row in rows]
        parts = [lax.collapse(part, axis) for part in parts]
        columns.append(jnp.concatenate(parts, axis=-1))
    return jnp.stack(columns, axis=axis)


def _window_row(x: jax.Array, tap: tuple[int, ...], geometry: Geometry) -> jax.Array:
    """The rows of the padded `x` under one row of the window, for every output row."""
    for axis, u in enumerate(tap):
        start = u * geometry.dilation[axis]
        stop = start + geometry.stride[axis] * (geometry.out_size[axis] - 1) + 1
        x = lax.slice_in_dim(x, start, stop, geometry.stride[axis], axis=axis + 1)
    return x
