"""Convolution by XLA's own operation, also for both gradients.

On a CPU, XLA is quick where a convolution reads `[batch, *spatial, in]` at every place,
and slow at what JAX makes of a gradient: zeros stuffed between the values of a strided
one, and an order of axes that is put right outside of loops alone. So both gradients
are written as convolutions of the quick form.

The input gradient is computed phase by phase, or, where the phases are nearly of one
size, by one convolution that has them as channels.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.phases import Phase, interleave, phases, wanted
from cnn_jax.lowering.xla import conv as conv


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The x-gradient at `[batch, *places, out]`, without zeros between the places."""
    if _even(geometry):
        return _as_channels(y, kernel, geometry, precision)
    parts = [
        _one_phase(y, kernel, phase, geometry, precision) for phase in phases(geometry)
    ]
    return interleave(jnp.stack(parts, axis=-2), geometry)


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel-gradient: `y` slides over `x`, batch and channels swapped."""
    axes = range(len(geometry.window))
    pads = [
        (
            geometry.pads[i][0],
            geometry.dilation[i] * (geometry.window[i] - 1)
            + geometry.stride[i] * (geometry.places[i] - 1)
            + 1
            - geometry.size[i]
            - geometry.pads[i][0],
        )
        for i in axes
    ]
    x = jnp.moveaxis(jnp.moveaxis(x, -1, 0), 1, -1)  # [in, *spatial, batch]
    y = jnp.moveaxis(y, 0, -2)  # [*places, batch, out]
    swapped = geometry._replace(
        window=geometry.places,
        stride=geometry.dilation,
        dilation=geometry.stride,
        pads=tuple(pads),
    )
    out = conv(x, y, geometry=swapped, precision=precision)
    return jnp.moveaxis(out, 0, -2)


def _one_phase(
    y: jax.Array,
    kernel: jax.Array,
    phase: tuple[Phase, ...],
    geometry: Geometry,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The places s·j + r along every axis, for every j: `[batch, *j, in]`."""
    sizes, pads = wanted(geometry), []
    if not all(part.count for part in phase):
        return jnp.zeros((y.shape[0], *sizes, kernel.shape[-2]), y.dtype)
    for axis, part in enumerate(phase):
        first, last = part.taps[-1], part.taps[0]
        kernel = lax.slice_in_dim(kernel, first, last + 1, part.step, axis=axis)
        reach = sizes[axis] + part.near + part.spread * (part.count - 1)
        pads.append((-part.near, reach - geometry.places[axis]))
    kernel = jnp.flip(kernel, range(len(phase))).swapaxes(-1, -2)
    at_stride_1 = geometry._replace(
        window=kernel.shape[:-2],
        stride=(1,) * len(phase),
        pads=tuple(pads),
        dilation=tuple(part.spread for part in phase),
    )
    return conv(y, kernel, geometry=at_stride_1, precision=precision)


def _even(geometry: Geometry) -> bool:
    """Whether filling all phases up to the largest costs little more than their taps.

    3 → 64 channels under 7 × 7 at stride 2 took 16 ms so, and 47 ms phase by phase; 64
    → 128 under 3 × 3, where it is 16 taps for 9, took 23 ms, and 16 ms phase by phase.
    """
    if max(geometry.stride) == 1 or max(geometry.dilation) > 1:
        return False
    filled = math.prod(
        stride * (far - near + 1)
        for stride, (near, far) in zip(geometry.stride, _met(geometry), strict=True)
    )
    return filled <= 1.4 * math.prod(geometry.window)


def _met(geometry: Geometry) -> list[tuple[int, int]]:
    """From which to which m, place j + m of `y` meets x[s·j + r] through some tap."""
    return [
        (-((window - 1 - low) // stride), (stride - 1 + low) // stride)
        for window, stride, (low, _) in zip(
            geometry.window, geometry.stride, geometry.pads, strict=True
        )
    ]


def _as_channels(
    y: jax.Array, kernel: jax.Array, geometry: Geometry, precision: lax.PrecisionLike
) -> jax.Array:
    """All phases by one convolution whose channels are `[*r, in]`: tap r + p − s·m."""
    shape, pads, taps = [], [], []
    sizes, met = wanted(geometry), _met(geometry)
    for i, (near, far) in enumerate(met):
        stride, low = geometry.stride[i], geometry.pads[i][0]
        before, after = stride * far - low, low + stride * (1 - near)
        taps.append((before, after - geometry.window[i], 0))
        shape += [far - near + 1, stride]
        pads.append((-near, sizes[i] + far - geometry.places[i]))
    zero = jnp.zeros((), kernel.dtype)
    kernel = lax.pad(kernel, zero, [*taps, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(*shape, *kernel.shape[-2:])
    places, rest = range(0, len(shape), 2), range(1, len(shape), 2)
    kernel = jnp.flip(kernel, places)
    kernel = kernel.transpose(*places, len(shape) + 1, *rest, len(shape))
    kernel = lax.collapse(kernel, len(met) + 1)
    at_stride_1 = geometry._replace(
        window=kernel.shape[:-2], stride=(1,) * len(met), pads=tuple(pads)
    )
    out = conv(y, kernel, geometry=at_stride_1, precision=precision)
    each = out.shape[-1] // math.prod(geometry.stride)
    return interleave(out.reshape(*out.shape[:-1], -1, each), geometry)
