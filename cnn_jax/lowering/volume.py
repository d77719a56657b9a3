"""3D convolution as a 2D convolution, for which XLA is faster on a CPU.

The slices of a volume under one window become channels of one image, and the first
output axis becomes part of the batch axis.
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
    images, kernels = _as_images(x, geometry), _as_image_kernel(kernel)
    out = direct.conv(
        images, kernels, geometry=_image_geometry(geometry), precision=precision
    )
    return out.reshape(x.shape[0], *geometry.out_size, kernel.shape[-1])


def input_gradient(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The input gradient of `[batch, *out_size, out]`."""
    out = direct.input_gradient(
        lax.collapse(y, 0, 2),
        _as_image_kernel(kernel),
        geometry=_image_geometry(geometry),
        precision=precision,
    )
    shape = (y.shape[0], *geometry.size, kernel.shape[-2])
    x = jax.ShapeDtypeStruct(shape, out.dtype)
    return jax.linear_transpose(lambda x: _as_images(x, geometry), x)(out)[0]


def kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    *,
    geometry: Geometry,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The kernel gradient of `x` and `y`."""
    out = direct.kernel_gradient(
        _as_images(x, geometry),
        lax.collapse(y, 0, 2),
        geometry=_image_geometry(geometry),
        precision=precision,
    )
    out = out.reshape(*geometry.window[1:], -1, x.shape[-1], y.shape[-1])
    return jnp.moveaxis(out, 2, 0)


def _as_images(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The slices under each window of the first axis: `[batch · D, H, W, d · in]`."""
    return lax.collapse(jnp.concatenate(taps(x, geometry, 0, fill=0), axis=-1), 0, 2)


def _as_image_kernel(kernel: jax.Array) -> jax.Array:
    """`[h, w, d · in, out]`."""
    return lax.collapse(jnp.moveaxis(kernel, 0, 2), 2, 4)


def _image_geometry(geometry: Geometry) -> Geometry:
    return Geometry(
        geometry.size[1:],
        geometry.window[1:],
        geometry.stride[1:],
        geometry.pads[1:],
        geometry.dilation[1:],
    )
