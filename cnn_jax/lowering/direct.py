"""Convolution by XLA's own operation, also for both gradients.

On a CPU, XLA is quick where a convolution reads `[batch, *spatial, in]` at every place,
and slow at what JAX makes of a gradient: zeros stuffed between the values of a strided
one, and an order of axes that is put right outside of loops alone. So both gradients
are written as convolutions of the quick form.

With stride s, `x[s·j + r]` is a sum over those taps u for which s divides r + p − d·u:
every phase r is a convolution of its own, without zeros. Where the phases are nearly of
one size, one convolution computes all of them, as channels.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.xla import conv as conv
from cnn_jax.lowering.xla import dimension_numbers


class Phase(NamedTuple):
    """What the places s·j + r of one axis are made from.

    Taps `first`, `first + step`, … (`count` of them) meet `y` at j + `near` and after,
    `spread` apart, from the last tap to the first.
    """

    first: int
    step: int
    count: int
    near: int
    spread: int


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The x-gradient at `[batch, *places, out]`, without zeros between the places."""
    axes = range(len(geometry.window))
    phases = [[_phase(r, geometry, i) for r in range(geometry.stride[i])] for i in axes]
    if _even(phases, geometry):
        return _as_channels(y, kernel, geometry, precision)
    parts = [
        _one_phase(y, kernel, phase, geometry, precision)
        for phase in itertools.product(*phases)
    ]
    parts = jnp.stack(parts, axis=-2)
    return _interleave(parts, geometry)


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel-gradient: `x` under the window `y`, with batch and channels swapped."""
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


def _phase(r: int, geometry: Geometry, axis: int) -> Phase:
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    start = r + geometry.pads[axis][0]
    taps = [
        u for u in range(geometry.window[axis]) if (start - dilation * u) % stride == 0
    ]
    common = math.gcd(stride, dilation)
    near = (start - dilation * taps[-1]) // stride if taps else 0
    first = taps[0] if taps else 0
    return Phase(first, stride // common, len(taps), near, dilation // common)


def _one_phase(y, kernel, phase, geometry, precision):
    """The places s·j + r along every axis, for every j: `[batch, *j, in]`."""
    wanted = _wanted(geometry)
    if not all(part.count for part in phase):
        return jnp.zeros((y.shape[0], *wanted, kernel.shape[-2]), y.dtype)
    for axis, part in enumerate(phase):
        last = part.first + part.step * (part.count - 1)
        kernel = lax.slice_in_dim(kernel, part.first, last + 1, part.step, axis=axis)
    kernel = jnp.flip(kernel, range(len(phase))).swapaxes(-1, -2)
    pads = [
        (-p.near, n - 1 + p.near + p.spread * (p.count - 1) - (places - 1))
        for p, n, places in zip(phase, wanted, geometry.places, strict=True)
    ]
    return lax.conv_general_dilated(
        y,
        kernel,
        window_strides=(1,) * len(phase),
        padding=pads,
        rhs_dilation=[part.spread for part in phase],
        dimension_numbers=dimension_numbers(len(phase)),
        precision=precision,
    )


def _even(phases: list[list[Phase]], geometry: Geometry) -> bool:
    """Whether filling all phases up to the largest costs little more than their taps.

    3 → 64 channels under 7 × 7 at stride 2 took 16 ms so, and 47 ms phase by phase; 64
    → 128 under 3 × 3, where it is 16 taps for 9, took 23 ms, and 16 ms phase by phase.
    """
    if max(geometry.stride) == 1 or max(geometry.dilation) > 1:
        return False
    filled = math.prod(
        len(axis) * len({p.near + i for p in axis for i in range(p.count)})
        for axis in phases
    )
    return filled <= 1.4 * math.prod(geometry.window)


def _as_channels(y, kernel, geometry, precision):
    """All phases by one convolution, its channels `[*r, in]`."""
    axes = range(len(geometry.window))
    pads, shape = [], []
    for i in axes:
        stride, low = geometry.stride[i], geometry.pads[i][0]
        # Place j + m of `y` meets x[s·j + r] through tap r + p − s·m.
        first = -((geometry.window[i] - 1 - low) // stride)
        last = (stride - 1 + low) // stride
        before = stride * last - low
        after = low - stride * first + stride - geometry.window[i]
        config = [(before, after, 0) if j == i else (0, 0, 0) for j in range(len(axes))]
        zero = jnp.zeros((), kernel.dtype)
        kernel = lax.pad(kernel, zero, [*config, (0, 0, 0), (0, 0, 0)])
        shape += [last - first + 1, stride]
        wanted = _wanted(geometry)[i]
        pads.append((-first, wanted - 1 + last - (geometry.places[i] - 1)))
    kernel = kernel.reshape(*shape, *kernel.shape[-2:])
    taps, rest = range(0, len(shape), 2), range(1, len(shape), 2)
    kernel = jnp.flip(kernel, taps)
    kernel = kernel.transpose(*taps, len(shape) + 1, *rest, len(shape))
    kernel = lax.collapse(kernel, len(axes) + 1)
    out = lax.conv_general_dilated(
        y,
        kernel,
        window_strides=(1,) * len(axes),
        padding=pads,
        dimension_numbers=dimension_numbers(len(axes)),
        precision=precision,
    )
    phases = math.prod(geometry.stride)
    return _interleave(
        out.reshape(*out.shape[:-1], phases, out.shape[-1] // phases), geometry
    )


def _interleave(parts: jax.Array, geometry: Geometry) -> jax.Array:
    """Puts `[batch, *j, phases, in]` where it belongs: place s·j + r."""
    batch, *places, _, channels = parts.shape
    axes = range(len(places))
    parts = parts.reshape(batch, *places, *geometry.stride, channels)
    pairs = [axis for i in axes for axis in (1 + i, 1 + len(axes) + i)]
    parts = parts.transpose(0, *pairs, parts.ndim - 1)
    whole = np.multiply(places, geometry.stride)
    out = parts.reshape(batch, *whole, channels)
    return lax.slice(out, [0] * out.ndim, (batch, *geometry.size, channels))


def _wanted(geometry: Geometry) -> list[int]:
    """How many j there are at most: ⌈n / s⌉ along an axis."""
    return [-(-n // s) for n, s in zip(geometry.size, geometry.stride, strict=True)]
