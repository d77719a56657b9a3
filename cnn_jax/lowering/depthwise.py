"""Depthwise convolution as shifts, products and sums.

XLA's own on a CPU computes the kernel's gradient for every pair of channels, and then
picks those of a channel with itself.
"""

import itertools
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.patches import taps


def can(geometry: Geometry, channels: int) -> bool:
    """As many groups as channels."""
    return geometry.groups == channels


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, *spatial, in]` with `[*window, 1, out]`."""
    seen = [_repeated(x, kernel.shape[-1])]
    for axis in range(len(geometry.window)):
        seen = [tap for x in seen for tap in taps(x, geometry, axis, empty=0)]
    weights = kernel.reshape(len(seen), kernel.shape[-1])
    shape = seen[0].shape
    parts = [
        tap * jnp.broadcast_to(weight, shape)
        for tap, weight in zip(seen, weights, strict=True)
    ]
    return reduce(jnp.add, parts)


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel-gradient: of every tap, the products of what meets there, added up."""
    x = _repeated(x, y.shape[-1])
    windows = itertools.product(*map(range, geometry.window))
    sums = [_sum_of_tap(x, y, tap, geometry) for tap in windows]
    return jnp.stack(sums).reshape(*geometry.window, 1, y.shape[-1])


def _repeated(x: jax.Array, features: int) -> jax.Array:
    """Every channel as often as there are kernels for it."""
    many = features // x.shape[-1]
    return x if many == 1 else jnp.repeat(x, many, axis=-1)


def _sum_of_tap(x, y, tap, geometry):
    """Σ x · y over all places at which a tap lies on `x`: a sum per channel.

    Slices, where padding `x` would copy it. The batch is added up in parts, as one loop
    over whole maps; a product with ones adds up the rest, for a sum would be merged
    into that loop, which is then ten times slower.
    """
    for axis, u in enumerate(tap):
        stride = geometry.stride[axis]
        start = u * geometry.dilation[axis] - geometry.pads[axis][0]
        first = max(0, -(start // stride))
        last = (geometry.size[axis] - 1 - start) // stride
        last = min(geometry.places[axis] - 1, last)
        if last < first:
            return jnp.zeros(y.shape[-1], y.dtype)
        y = lax.slice_in_dim(y, first, last + 1, axis=axis + 1)
        near, far = start + stride * first, start + stride * last
        x = lax.slice_in_dim(x, near, far + 1, stride, axis=axis + 1)
    parts = next(n for n in range(8, 0, -1) if x.shape[0] % n == 0)
    many = zip(jnp.split(x, parts), jnp.split(y, parts), strict=True)
    total = reduce(jnp.add, [a * b for a, b in many]).reshape(-1, y.shape[-1])
    return jnp.ones(total.shape[0], total.dtype) @ total
