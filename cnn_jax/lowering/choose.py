"""Choice of the implementation of a convolution by platform and shape.

A method implements all three operations: the convolution and its two gradients. On a
CPU the first row of `ON_CPU` that applies and names a method for the operation decides.
Other platforms use XLA's convolution, which GPU and TPU libraries recognize.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import NamedTuple

import jax

from cnn_jax.lowering import dense, depthwise, direct, grouped, toeplitz, volume, xla
from cnn_jax.lowering.geometry import Geometry

Run = Callable[..., jax.Array]


class Method(NamedTuple):
    """One implementation, and whether it supports a geometry and input channels."""

    can: Callable[[Geometry, int], bool]
    conv: Run
    input_gradient: Run
    kernel_gradient: Run


class Row(NamedTuple):
    """The fastest method per operation, for the convolutions where `when` holds.

    An operation without a method here is decided by a later row.
    """

    when: Callable[[Geometry, int], bool]
    conv: str | None = None
    input_gradient: str | None = None
    kernel_gradient: str | None = None


def _transposed_input(forward: Run, y, kernel, *, geometry, precision=None):
    channels = kernel.shape[-2] * geometry.groups
    x = jax.ShapeDtypeStruct((y.shape[0], *geometry.size, channels), y.dtype)
    linear = partial(forward, geometry=geometry, precision=precision)
    return jax.linear_transpose(lambda x: linear(x, kernel), x)(y)[0]


def _transposed_kernel(forward: Run, x, y, *, geometry, precision=None):
    channels = x.shape[-1] // geometry.groups
    shape = (*geometry.window, channels, y.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    linear = partial(forward, geometry=geometry, precision=precision)
    return jax.linear_transpose(lambda kernel: linear(x, kernel), kernel)(y)[0]


def _method(can, conv: Run, input_gradient=None, kernel_gradient=None) -> Method:
    """A method whose gradients are transposes of its `conv` unless given."""
    return Method(
        can,
        conv,
        input_gradient or partial(_transposed_input, conv),
        kernel_gradient or partial(_transposed_kernel, conv),
    )


METHODS = {
    "xla": _method(lambda g, c: True, xla.conv),
    "direct": _method(
        lambda g, c: g.groups == 1,
        direct.conv,
        direct.input_gradient,
        direct.kernel_gradient,
    ),
    "dense": _method(lambda g, c: dense.can(g), dense.conv),
    "toeplitz": _method(lambda g, c: True, toeplitz.conv),
    "depthwise": _method(
        depthwise.can,
        depthwise.conv,
        depthwise.input_gradient,
        depthwise.kernel_gradient,
    ),
    "grouped": _method(
        lambda g, c: grouped.can(g),
        grouped.conv,
        grouped.input_gradient,
        grouped.kernel_gradient,
    ),
    "volume": _method(
        lambda g, c: volume.can(g),
        volume.conv,
        volume.input_gradient,
        volume.kernel_gradient,
    ),
}


# The times are medians in ms of forward, x-gradient and kernel-gradient on two cores
# (EPYC with AVX-512, JAX 0.10.2), with `compiler_options`: XLA's → the row's method.
ON_CPU = (
    # 64 × 32², 32 channels, 3 × 3: 55, 57, 15 → 1.1, 1.4, 4.6.
    Row(lambda g, c: 1 < g.groups == c, "depthwise", "depthwise", "depthwise"),
    # 32 × 16², 128 channels in 32 groups, 3 × 3: 31, 24, 2470 → 19, 12, 6.
    Row(lambda g, c: g.groups > 1, "grouped", "grouped", "grouped"),
    # 128 × 32², 1 → 6, 5 × 5: 4.1, 11, 1.6 → 1.1, 1.0, 1.0.
    Row(
        lambda g, c: c == 1 and prod(g.window) <= 32, "toeplitz", "toeplitz", "toeplitz"
    ),
    # 128 × 5², 16 → 120, 5 × 5, one output position: 0.26, 2.7, 0.31 → 0.33, 0.4, 0.23.
    Row(lambda g, c: dense.can(g) and prod(g.out_size) == 1, "dense", "dense", "dense"),
    # 64 × 32², 32 → 64, 1 × 1: 7.8 → 4.1.
    Row(lambda g, c: dense.can(g), kernel_gradient="dense"),
    # 32 × 8000, 1 → 64, 80 taps, stride 4: 14, and 22 by phases.
    Row(lambda g, c: c == len(g.window) == 1 < g.stride[0], input_gradient="xla"),
    # 128 × 14², 6 → 16, 5 × 5: 3.3 → 0.9.
    Row(lambda g, c: c <= 6 and max(g.stride) == 1, input_gradient="toeplitz"),
    # XLA swaps the operands where the window is larger than the input, and then uses a
    # slow path: 64 × 4², 64 → 64, 5 × 5, padded by 2: 15 → 2.1.
    Row(lambda g, c: prod(g.window) > prod(g.size), conv="toeplitz"),
    Row(lambda g, c: prod(g.window) > prod(g.out_size), input_gradient="toeplitz"),
    # 64 × 8², 64 → 64, 3 × 3, padded by 2: 53 → 6.0.
    Row(lambda g, c: prod(g.out_size) > prod(g.size), kernel_gradient="toeplitz"),
    # 16 × 16³, 16 → 32, 3 × 3 × 3: 55, 99, 59 → 13, 11, 22.
    Row(lambda g, c: volume.can(g), "volume", "volume", "volume"),
    # 64 × 32², 64 → 128, 3 × 3, stride 2, x-gradient: 40 → 16. In a loop, the
    # kernel-gradient of any: 79 → 6 for 32 → 32 (jax#12868).
    Row(lambda g, c: True, "direct", "direct", "direct"),
)


def can(geometry: Geometry, channels: int) -> list[str]:
    """The methods that support this geometry with `channels` input channels."""
    return [name for name, method in METHODS.items() if method.can(geometry, channels)]


def choose(operation: str, platform: str, geometry: Geometry, channels: int) -> str:
    """The method for an operation: `conv`, `input_gradient` or `kernel_gradient`."""
    if platform != "cpu":
        return "xla"
    rows = (row for row in ON_CPU if row.when(geometry, channels))
    return next(name for row in rows if (name := getattr(row, operation)))
