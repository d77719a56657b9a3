"""Depthwise convolution as shifts, products and sums.

XLA's own on a CPU computes the kernel's gradient for every pair of channels, and then
picks those of a channel with itself.

What many taps read is padded first, once. XLA merges what lies before into each reader,
so that a ReLU would be computed anew for every tap; a pad, it writes out.
"""

import itertools
from collections.abc import Iterable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.phases import Phase, interleave, phases, wanted
from cnn_jax.lowering.sums import sum_in_parts


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
    x = _padded_x(_repeated(x, kernel.shape[-1]), geometry)
    parts = [
        _weighed(_seen_by(tap, x, geometry, geometry.places), kernel[tap])
        for tap in _taps(geometry)
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
    y, near = _padded_y(y, geometry)
    sizes = wanted(geometry)
    parts = [_one_phase(y, kernel, phase, near, sizes) for phase in phases(geometry)]
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
    # One place more along the first axis, of zeros: where only `x` and `y` themselves
    # are read, XLA leaves the pad out.
    more = (geometry.places[0] + 1, *geometry.places[1:])
    x = _padded_x(_repeated(x, y.shape[-1]), geometry)
    y, near = _padded_y(y, geometry)
    y = _block(y, near, more)
    sums = [
        sum_in_parts(_seen_by(tap, x, geometry, more), y) for tap in _taps(geometry)
    ]
    return jnp.stack(sums).reshape(*geometry.window, 1, y.shape[-1])


def _repeated(x: jax.Array, features: int) -> jax.Array:
    """Every channel as often as there are kernels for it."""
    many = features // x.shape[-1]
    return x if many == 1 else jnp.repeat(x, many, axis=-1)


def _padded_x(x: jax.Array, geometry: Geometry) -> jax.Array:
    """`x` with its pads, and at least as far as one place more on the first axis."""
    (low, high), *rest = geometry.pads
    reach = geometry.stride[0] * geometry.places[0] + 1
    reach += geometry.dilation[0] * (geometry.window[0] - 1)
    return _pad(x, [(low, max(high, reach - geometry.size[0] - low)), *rest])


def _padded_y(y: jax.Array, geometry: Geometry) -> tuple[jax.Array, list[int]]:
    """`y` as far as any phase reads it, and how many zeros stand before it."""
    every, sizes, axes = phases(geometry), wanted(geometry), range(len(geometry.size))
    near = [max(0, *(-phase[i].near for phase in every)) for i in axes]
    last = [
        max(p[i].near + p[i].spread * max(p[i].count - 1, 0) for p in every)
        for i in axes
    ]
    far = [max(1, last[i] + sizes[i] - geometry.places[i]) for i in axes]
    return _pad(y, zip(near, far, strict=True)), near


def _pad(x: jax.Array, pads: Iterable[tuple[int, int]]) -> jax.Array:
    config = [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _taps(geometry: Geometry) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, geometry.window)))


def _seen_by(
    tap: tuple[int, ...], x: jax.Array, geometry: Geometry, places: tuple[int, ...]
) -> jax.Array:
    """What one tap reads of the padded `x`, at so many places."""
    for axis, (u, n) in enumerate(zip(tap, places, strict=True)):
        start, stride = u * geometry.dilation[axis], geometry.stride[axis]
        stop = start + stride * (n - 1) + 1
        x = lax.slice_in_dim(x, start, stop, stride, axis=axis + 1)
    return x


def _block(x: jax.Array, start: Sequence[int], size: Sequence[int]) -> jax.Array:
    """So many places of `x` along each axis."""
    for axis, (first, n) in enumerate(zip(start, size, strict=True)):
        x = lax.slice_in_dim(x, first, first + n, axis=axis + 1)
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
        start = [
            before + part.near + part.spread * i
            for before, part, i in zip(near, phase, steps, strict=True)
        ]
        seen = _block(y, start, sizes)
        total = total + _weighed(seen, kernel[tap])
    return total
