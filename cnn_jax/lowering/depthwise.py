"""Depthwise convolution as shifts, products and sums.

XLA's own on a CPU computes the kernel's gradient for every pair of channels, and then
picks those of a channel with itself.

What many taps read is padded first, once. XLA merges what lies before into each reader,
so that a ReLU would be computed anew for every tap; a pad, it writes out.
"""

import itertools
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.phases import Phase, interleave, phases, wanted


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
    x = _padded(_repeated(x, kernel.shape[-1]), geometry.pads)
    parts = [
        _weighed(_seen_by(tap, x, geometry), kernel[tap]) for tap in _taps(geometry)
    ]
    return reduce(jnp.add, parts)


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The x-gradient at `[batch, *places, out]`, phase by phase."""
    every, sizes = phases(geometry), wanted(geometry)
    axes = range(len(sizes))
    near = [max(0, *(-phase[i].near for phase in every)) for i in axes]
    far = [
        max(p[i].near + p[i].spread * max(p[i].count - 1, 0) for p in every)
        + sizes[i]
        - geometry.places[i]
        for i in axes
    ]
    y = _padded(y, [(a, max(b, 0)) for a, b in zip(near, far, strict=True)])
    parts = [_one_phase(y, kernel, phase, near, sizes) for phase in every]
    out = interleave(jnp.stack(parts, axis=-2), geometry)
    many = kernel.shape[-1] // geometry.groups
    return out if many == 1 else out.reshape(*out.shape[:-1], -1, many).sum(axis=-1)


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel-gradient: of every tap, the products of what meets there, added up."""
    # One place more along the first axis, of zeros, makes sure that both are padded.
    more = geometry._replace(
        pads=((geometry.pads[0][0], _far(geometry)), *geometry.pads[1:])
    )
    x = _padded(_repeated(x, y.shape[-1]), more.pads)
    y = _padded(y, [(0, 1)] + [(0, 0)] * (y.ndim - 3))
    sums = [_sum_of_products(_seen_by(tap, x, more), y) for tap in _taps(geometry)]
    return jnp.stack(sums).reshape(*geometry.window, 1, y.shape[-1])


def _far(geometry: Geometry) -> int:
    """The pad behind the first axis with which there is one place more."""
    last = geometry.stride[0] * geometry.places[0]
    reach = last + geometry.dilation[0] * (geometry.window[0] - 1) + 1
    return reach - geometry.size[0] - geometry.pads[0][0]


def _repeated(x: jax.Array, features: int) -> jax.Array:
    """Every channel as often as there are kernels for it."""
    many = features // x.shape[-1]
    return x if many == 1 else jnp.repeat(x, many, axis=-1)


def _padded(x: jax.Array, pads) -> jax.Array:
    config = [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _taps(geometry: Geometry) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, geometry.window)))


def _seen_by(tap: tuple[int, ...], x: jax.Array, geometry: Geometry) -> jax.Array:
    """What one tap reads of the padded `x`, at every place."""
    for axis, (u, n) in enumerate(zip(tap, geometry.places, strict=True)):
        start, stride = u * geometry.dilation[axis], geometry.stride[axis]
        stop = start + stride * (n - 1) + 1
        x = lax.slice_in_dim(x, start, stop, stride, axis=axis + 1)
    return x


def _weighed(x: jax.Array, weights: jax.Array) -> jax.Array:
    return x * jnp.broadcast_to(weights, x.shape)


def _one_phase(
    y: jax.Array,
    kernel: jax.Array,
    phase: tuple[Phase, ...],
    near: list[int],
    sizes: tuple[int, ...],
) -> jax.Array:
    """The places s·j + r along every axis, for every j: `[batch, *j, out]`."""
    total = jnp.zeros((y.shape[0], *sizes, y.shape[-1]), y.dtype)
    ranges = [range(part.count) for part in phase]
    for steps in itertools.product(*ranges):
        tap = tuple(part.taps[i] for part, i in zip(phase, steps, strict=True))
        seen = y
        for axis, (part, i) in enumerate(zip(phase, steps, strict=True)):
            start = near[axis] + part.near + part.spread * i
            seen = lax.slice_in_dim(seen, start, start + sizes[axis], axis=axis + 1)
        total = total + _weighed(seen, kernel[tap])
    return total


def _sum_of_products(x: jax.Array, y: jax.Array) -> jax.Array:
    """Σ x · y for every channel.

    The batch is added up in parts, as one loop over whole maps; a product with ones
    adds up the rest, for a sum would be merged into that loop, which then takes ten
    times as long.
    """
    parts = next(n for n in range(8, 0, -1) if x.shape[0] % n == 0)
    many = zip(jnp.split(x, parts), jnp.split(y, parts), strict=True)
    total = reduce(jnp.add, [a * b for a, b in many]).reshape(-1, y.shape[-1])
    return jnp.ones(total.shape[0], total.dtype) @ total
