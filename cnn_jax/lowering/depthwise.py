"""Depthwise convolution as shifts, products and sums.

On a CPU, XLA computes the kernel gradient of a depthwise convolution for every pair of
channels and then selects the diagonal.

Arrays that several taps read are padded once before. XLA fuses elementwise operations
into each of their readers, so a preceding ReLU would be computed once per tap; the
result of a pad is written to memory.
"""

import itertools
from collections.abc import Iterable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.phases import Phase, interleave, phase_sizes, phases
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
    x = _padded_x(_repeat_channels(x, kernel.shape[-1]), geometry)
    parts = [
        _scale_channels(_tap_slice(tap, x, geometry, geometry.out_size), kernel[tap])
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
    """The input gradient of `[batch, *out_size, out]`, phase by phase."""
    y, near = _padded_y(y, geometry)
    sizes = phase_sizes(geometry)
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
    """The kernel gradient: for every tap, the sum of products over all positions."""
    # One more position of zeros along the first axis: XLA would remove a pad of which
    # only the original array is read.
    extended = (geometry.out_size[0] + 1, *geometry.out_size[1:])
    x = _padded_x(_repeat_channels(x, y.shape[-1]), geometry)
    y, near = _padded_y(y, geometry)
    y = _block(y, near, extended)
    sums = [
        sum_in_parts(_tap_slice(tap, x, geometry, extended), y)
        for tap in _taps(geometry)
    ]
    return jnp.stack(sums).reshape(*geometry.window, 1, y.shape[-1])


def _repeat_channels(x: jax.Array, features: int) -> jax.Array:
    """Every channel repeated once per kernel of that channel."""
    many = features // x.shape[-1]
    return x if many == 1 else jnp.repeat(x, many, axis=-1)


def _padded_x(x: jax.Array, geometry: Geometry) -> jax.Array:
    """`x` with its padding, and with one more output position on the first axis."""
    (low, high), *rest = geometry.pads
    reach = geometry.stride[0] * geometry.out_size[0] + 1
    reach += geometry.dilation[0] * (geometry.window[0] - 1)
    return _pad(x, [(low, max(high, reach - geometry.size[0] - low)), *rest])


def _padded_y(y: jax.Array, geometry: Geometry) -> tuple[jax.Array, list[int]]:
    """`y` with the padding that the phases read, and the zeros before each axis."""
    every, sizes, axes = (
        phases(geometry),
        phase_sizes(geometry),
        range(len(geometry.size)),
    )
    near = [max(0, *(-phase[i].near for phase in every)) for i in axes]
    last = [
        max(p[i].near + p[i].spacing * max(p[i].count - 1, 0) for p in every)
        for i in axes
    ]
    far = [max(1, last[i] + sizes[i] - geometry.out_size[i]) for i in axes]
    return _pad(y, zip(near, far, strict=True)), near


def _pad(x: jax.Array, pads: Iterable[tuple[int, int]]) -> jax.Array:
    config = [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _taps(geometry: Geometry) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, geometry.window)))


def _tap_slice(
    tap: tuple[int, ...], x: jax.Array, geometry: Geometry, size: tuple[int, ...]
) -> jax.Array:
    """The values of the padded `x` under one tap, for an output of `size`."""
    for axis, (u, n) in enumerate(zip(tap, size, strict=True)):
        start, stride = u * geometry.dilation[axis], geometry.stride[axis]
        stop = start + stride * (n - 1) + 1
        x = lax.slice_in_dim(x, start, stop, stride, axis=axis + 1)
    return x


def _block(x: jax.Array, start: Sequence[int], size: Sequence[int]) -> jax.Array:
    """A block of `size` along each spatial axis."""
    for axis, (first, n) in enumerate(zip(start, size, strict=True)):
        x = lax.slice_in_dim(x, first, first + n, axis=axis + 1)
    return x


def _scale_channels(x: jax.Array, weights: jax.Array) -> jax.Array:
    return x * jnp.broadcast_to(weights, x.shape)


def _one_phase(
    y: jax.Array,
    kernel: jax.Array,
    phase: tuple[Phase, ...],
    near: list[int],
    sizes: tuple[int, ...],
) -> jax.Array:
    """The gradient at positions s·j + r, for all j: `[batch, *j, out]`."""
    total = jnp.zeros((y.shape[0], *sizes, y.shape[-1]), y.dtype)
    ranges = [range(part.count) for part in phase]
    for steps in itertools.product(*ranges):
        tap = tuple(part.taps[i] for part, i in zip(phase, steps, strict=True))
        start = [
            before + part.near + part.spacing * i
            for before, part, i in zip(near, phase, steps, strict=True)
        ]
        block = _block(y, start, sizes)
        total = total + _scale_channels(block, kernel[tap])
    return total
