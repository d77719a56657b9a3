"""Patches under the windows, as strided slices.

Windows are taken one axis at a time: k₁ + k₂ slices instead of k₁ · k₂. The transpose
of a strided slice is a dilated pad, so no gradient uses a scatter, and gradients are
deterministic also where windows overlap.
"""

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.lowering.geometry import Geometry, promote_to_float32
from cnn_jax.lowering.sharding import output_type


def taps(
    x: jax.Array, geometry: Geometry, axis: int, *, fill: float | int
) -> list[jax.Array]:
    """The values under each tap of the window along one spatial axis.

    Beyond `x` the value is `fill`. The axis gets the size of the output.
    """
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    reach = stride * (geometry.out_size[axis] - 1) + 1
    # The far pad is negative (a crop) where no window reaches the end of the axis.
    low = geometry.pads[axis][0]
    high = reach + dilation * (geometry.window[axis] - 1) - geometry.size[axis] - low
    config = [(0, 0, 0)] * x.ndim
    config[axis + 1] = (low, high, 0)
    x = lax.pad(x, jnp.asarray(fill, x.dtype), config)
    return [
        lax.slice_in_dim(x, start, start + reach, stride, axis=axis + 1)
        for start in range(0, dilation * geometry.window[axis], dilation)
    ]


def unfold(x: jax.Array, geometry: Geometry) -> jax.Array:
    """The patch under every window: `[batch, *out_size, *window, channels]`."""
    axes, out = len(geometry.window), promote_to_float32(x)
    for axis in range(axes):
        # The taps of earlier axes are already stacked before the channels.
        out = jnp.stack(taps(out, geometry, axis, fill=0), axis=axes + 1 + axis)
    return out.astype(x.dtype)


def fold(patches: jax.Array, geometry: Geometry) -> jax.Array:
    """The transpose of `unfold`: the sum of all patches at their positions."""
    shape, axes = (patches.shape[0], *geometry.size, patches.shape[-1]), geometry.size
    names = [["batch", *[""] * n * len(axes), "channels"] for n in (2, 1)]
    like = jax.typeof(patches)
    x = output_type("fold", shape, (like, like), (names[0], *names))
    return jax.linear_transpose(lambda x: unfold(x, geometry), x)(patches)[0]
