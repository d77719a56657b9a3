"""Convolution of volumes as one of pictures, for which XLA is quicker on a CPU.

The slices of a volume that one window sees become channels of one picture, and the
first axis of places a part of the batch.
"""

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering import direct
from cnn_jax.lowering.geometry import Geometry
from cnn_jax.lowering.patches import taps


def can(geometry: Geometry) -> bool:
    """Three spatial axes, one group."""
    return len(geometry.window) == 3 and geometry.groups == 1


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of `[batch, D, H, W, in]` with `[d, h, w, in, out]`."""
    pictures, kernels = _pictures(x, geometry), _kernels(kernel)
    out = direct.conv(pictures, kernels, geometry=_flat(geometry), precision=precision)
    return out.reshape(x.shape[0], *geometry.places, kernel.shape[-1])


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The x-gradient at `[batch, *places, out]`."""
    out = direct.input_gradient(
        lax.collapse(y, 0, 2),
        _kernels(kernel),
        geometry=_flat(geometry),
        precision=precision,
    )
    shape = (y.shape[0], *geometry.size, kernel.shape[-2])
    x = jax.ShapeDtypeStruct(shape, out.dtype)
    return jax.linear_transpose(lambda x: _pictures(x, geometry), x)(out)[0]


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel-gradient at `x` and `y`."""
    out = direct.kernel_gradient(
        _pictures(x, geometry),
        lax.collapse(y, 0, 2),
        geometry=_flat(geometry),
        precision=precision,
    )
    out = out.reshape(*geometry.window[1:], -1, x.shape[-1], y.shape[-1])
    return jnp.moveaxis(out, 2, 0)


def _pictures(x: jax.Array, geometry: Geometry) -> jax.Array:
    """`[batch · places, H, W, d · in]`: what each window sees along the first axis."""
    return lax.collapse(jnp.concatenate(taps(x, geometry, 0, empty=0), axis=-1), 0, 2)


def _kernels(kernel: jax.Array) -> jax.Array:
    """`[h, w, d · in, out]`."""
    return lax.collapse(jnp.moveaxis(kernel, 0, 2), 2, 4)


def _flat(geometry: Geometry) -> Geometry:
    return Geometry(
        geometry.size[1:],
        geometry.window[1:],
        geometry.stride[1:],
        geometry.pads[1:],
        geometry.dilation[1:],
    )
