"""Phases of a strided convolution: its input gradient without inserted zeros.

With stride s, `x[s·j + r]` contributes only through taps u for which s divides
r + p − d·u. Every phase r is a convolution at stride 1, and the phases interleave.
"""

import itertools
import math
from typing import NamedTuple

import jax
import numpy as np
from jax import lax

from cnn_jax.lowering.geometry import Geometry


class Phase(NamedTuple):
    """The taps that contribute to positions s·j + r of one axis.

    These are `first`, `first + step`, … (`count` of them). From the last tap to the
    first, they read `y` from j + `near` on, `spacing` apart.
    """

    first: int
    step: int
    count: int
    near: int
    spacing: int

    @property
    def taps(self) -> range:
        """The taps, from the last to the first."""
        return range(self.first, self.first + self.step * self.count, self.step)[::-1]


def phases(geometry: Geometry) -> list[tuple[Phase, ...]]:
    """Every combination of phases, one of each axis, in the order of `interleave`."""
    per_axis = (
        [_phase(r, geometry, axis) for r in range(stride)]
        for axis, stride in enumerate(geometry.stride)
    )
    return list(itertools.product(*per_axis))


def phase_sizes(geometry: Geometry) -> tuple[int, ...]:
    """The size of the largest phase: ⌈n / s⌉ along an axis."""
    pairs = zip(geometry.size, geometry.stride, strict=True)
    return tuple(-(-n // s) for n, s in pairs)


def interleave(parts: jax.Array, geometry: Geometry) -> jax.Array:
    """Moves `[batch, *j, phases, channels]` to positions s·j + r."""
    batch, *size, _, channels = parts.shape
    axes = range(len(size))
    parts = parts.reshape(batch, *size, *geometry.stride, channels)
    pairs = [axis for i in axes for axis in (1 + i, 1 + len(axes) + i)]
    parts = parts.transpose(0, *pairs, parts.ndim - 1)
    whole = np.multiply(size, geometry.stride)
    out = parts.reshape(batch, *whole, channels)
    return lax.slice(out, [0] * out.ndim, (batch, *geometry.size, channels))


def _phase(r: int, geometry: Geometry, axis: int) -> Phase:
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    start, common = r + geometry.pads[axis][0], math.gcd(stride, dilation)
    window = range(geometry.window[axis])
    taps = [u for u in window if (start - dilation * u) % stride == 0] or [0]
    count = len(taps) if (start - dilation * taps[0]) % stride == 0 else 0
    near = (start - dilation * taps[-1]) // stride
    return Phase(taps[0], stride // common, count, near, dilation // common)
