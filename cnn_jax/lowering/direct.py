"""Convolution by XLA's operation, with both gradients in the form that is fast.

On a CPU, XLA is fast for an undilated input of layout `[batch, *spatial, in]`, and slow
for the gradients that JAX writes: these insert zeros between the values of a strided
gradient, and use an order of axes that XLA corrects only outside of loops. Here both
gradients are convolutions of the fast form.

The input gradient is computed phase by phase, or by one convolution with the phases as
channels where the phases have nearly the same size.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.phases import Phase, interleave, phase_sizes, phases
from cnn_jax.lowering.xla import conv as conv


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The input gradient of `[batch, *out_size, out]`, without inserted zeros."""
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
    """The kernel gradient: `x` convolved with `y`, batch and channels swapped."""
    axes = range(len(geometry.window))
    pads = [
        (
            geometry.pads[i][0],
            geometry.dilation[i] * (geometry.window[i] - 1)
            + geometry.stride[i] * (geometry.out_size[i] - 1)
            + 1
            - geometry.size[i]
            - geometry.pads[i][0],
        )
        for i in axes
    ]
    x = jnp.moveaxis(jnp.moveaxis(x, -1, 0), 1, -1)  # [in, *spatial, batch]
    y = jnp.moveaxis(y, 0, -2)  # [*out_size, batch, out]
    swapped = geometry._replace(
        window=geometry.out_size,
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
    """The gradient at positions s·j + r of every axis, for all j: `[batch, *j, in]`."""
    sizes, pads = phase_sizes(geometry), []
    if not all(part.count for part in phase):
        return jnp.zeros((y.shape[0], *sizes, kernel.shape[-2]), y.dtype)
    for axis, part in enumerate(phase):
        first, last = part.taps[-1], part.taps[0]
        kernel = lax.slice_in_dim(kernel, first, last + 1, part.step, axis=axis)
        reach = sizes[axis] + part.near + part.spacing * (part.count - 1)
        pads.append((-part.near, reach - geometry.out_size[axis]))
    kernel = jnp.flip(kernel, range(len(phase))).swapaxes(-1, -2)
    at_stride_1 = geometry._replace(
        window=kernel.shape[:-2],
        stride=(1,) * len(phase),
        pads=tuple(pads),
        dilation=tuple(part.spacing for part in phase),
    )
    return conv(y, kernel, geometry=at_stride_1, precision=precision)


def _even(geometry: Geometry) -> bool:
    """Whether padding all phases to the largest one adds few taps.

    3 → 64 channels, 7 × 7, stride 2: 16 ms with the phases as channels, 47 ms phase by
    phase. 64 → 128 channels, 3 × 3, which needs 16 taps instead of 9: 23 and 16 ms.
    """
    if max(geometry.stride) == 1 or max(geometry.dilation) > 1:
        return False
    filled = math.prod(
        stride * (far - near + 1)
        for stride, (near, far) in zip(
            geometry.stride, _tap_range(geometry), strict=True
        )
    )
    return filled <= 1.4 * math.prod(geometry.window)


def _tap_range(geometry: Geometry) -> list[tuple[int, int]]:
    """The first and last m for which y[j + m] reaches x[s·j + r] through some tap."""
    return [
        (-((window - 1 - low) // stride), (stride - 1 + low) // stride)
        for window, stride, (low, _) in zip(
            geometry.window, geometry.stride, geometry.pads, strict=True
        )
    ]


def _as_channels(
    y: jax.Array, kernel: jax.Array, geometry: Geometry, precision: lax.PrecisionLike
) -> jax.Array:
    """All phases in one convolution with channels `[*r, in]` and taps r + p − s·m."""
    shape, pads, taps = [], [], []
    sizes, tap_range = phase_sizes(geometry), _tap_range(geometry)
    for i, (near, far) in enumerate(tap_range):
        stride, low = geometry.stride[i], geometry.pads[i][0]
        before, after = stride * far - low, low + stride * (1 - near)
        taps.append((before, after - geometry.window[i], 0))
        shape += [far - near + 1, stride]
        pads.append((-near, sizes[i] + far - geometry.out_size[i]))
    zero = jnp.zeros((), kernel.dtype)
    kernel = lax.pad(kernel, zero, [*taps, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(*shape, *kernel.shape[-2:])
    window, phase = range(0, len(shape), 2), range(1, len(shape), 2)
    kernel = jnp.flip(kernel, window)
    kernel = kernel.transpose(*window, len(shape) + 1, *phase, len(shape))
    kernel = lax.collapse(kernel, len(tap_range) + 1)
    at_stride_1 = geometry._replace(
        window=kernel.shape[:-2], stride=(1,) * len(tap_range), pads=tuple(pads)
    )
    out = conv(y, kernel, geometry=at_stride_1, precision=precision)
    each = out.shape[-1] // math.prod(geometry.stride)
    return interleave(out.reshape(*out.shape[:-1], -1, each), geometry)
