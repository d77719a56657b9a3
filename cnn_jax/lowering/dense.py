"""Convolution as one matrix product, where no value is under two windows.

A window of one tap reads each place by itself. A window that fits in one place alone
reads everything at once. Either way the values under the windows are the rows of a
matrix as they lie.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry


def can(geometry: Geometry) -> bool:
    """One tap, or one place; no padding, dilation or groups."""
    alone = max(geometry.window) == 1 or max(geometry.places) == 1
    plain = geometry.groups == max(geometry.dilation) == 1
    return alone and plain and not any(map(any, geometry.pads))


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, *spatial, in]` with `[*window, in, out]`."""
    for axis, places in enumerate(geometry.places):
        stride = geometry.stride[axis]
        reach = stride * (places - 1) + geometry.window[axis]
        x = lax.slice_in_dim(x, 0, reach, stride if places > 1 else 1, axis=axis + 1)
    rows = x.reshape(x.shape[0] * math.prod(geometry.places), -1)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    out = jnp.matmul(rows, matrix, precision=precision)
    return out.reshape(x.shape[0], *geometry.places, kernel.shape[-1])
