"""Convolution as one matrix product, without copies of overlapping windows.

It applies where the window has one tap, or where the output has one position. In both
cases the values under the windows are rows of a matrix by a reshape alone.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry


def can(geometry: Geometry) -> bool:
    """One tap or one output position; no padding, dilation or groups."""
    no_overlap = max(geometry.window) == 1 or max(geometry.out_size) == 1
    plain = geometry.groups == max(geometry.dilation) == 1
    return no_overlap and plain and not any(map(any, geometry.pads))


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, *spatial, in]` with `[*window, in, out]`."""
    for axis, n in enumerate(geometry.out_size):
        stride = geometry.stride[axis]
        reach = stride * (n - 1) + geometry.window[axis]
        x = lax.slice_in_dim(x, 0, reach, stride if n > 1 else 1, axis=axis + 1)
    rows = x.reshape(x.shape[0] * math.prod(geometry.out_size), -1)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    out = jnp.matmul(rows, matrix, precision=precision)
    return out.reshape(x.shape[0], *geometry.out_size, kernel.shape[-1])
