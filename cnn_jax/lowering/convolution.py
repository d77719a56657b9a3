"""Convolution as one primitive, whose two transposes are the other two operations.

    y[i, o] = Σ kernel[u, c, o] · x[i·s + u·d − p, c]

is linear in `x` and linear in `kernel`. With either held, the transpose of the map is a
sum of the same products, taken over other indices:

    conv             x, kernel → y
    input_gradient   y, kernel → x
    kernel_gradient  x, y      → kernel

Each of the three is bilinear, and its transposes are the other two. Forward mode,
reverse mode and derivatives of any order follow from that, where a `custom_vjp` would
refuse forward mode.

A formulation is one function that computes `conv` from ordinary operations; its two
siblings are its linear transposes. `METHODS` is the table of formulations.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.lowering import toeplitz, xla
from cnn_jax.lowering.geometry import Geometry, widen

METHODS: dict[str, Callable[..., jax.Array]] = {
    "xla": xla.conv,
    "toeplitz": toeplitz.conv,
}


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Convolves `[batch, *spatial, in]` with `[*window, in / groups, out]`."""
    how = {"geometry": geometry, "method": method, "precision": precision}
    return conv_p.bind(x, kernel, **how)


def conv_transpose(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The x-gradient of the `conv` of this geometry, at `y`."""
    how = {"geometry": geometry, "method": method, "precision": precision}
    return input_gradient_p.bind(y, kernel, **how)


def _run_conv(forward, x, kernel, geometry):
    return forward(x, kernel)


def _run_input_gradient(forward, y, kernel, geometry):
    channels = kernel.shape[-2] * geometry.groups
    x = jax.ShapeDtypeStruct((y.shape[0], *geometry.size, channels), y.dtype)
    return jax.linear_transpose(lambda x: forward(x, kernel), x)(y)[0]


def _run_kernel_gradient(forward, x, y, geometry):
    channels = x.shape[-1] // geometry.groups
    shape = (*geometry.window, channels, y.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda kernel: forward(x, kernel), kernel)(y)[0]


def _choose(platform: str, geometry: Geometry, x_channels: int) -> str:
    """The formulation for `method="auto"`."""
    # With four channels or fewer, XLA's convolution on a CPU took 4 times as long
    # (250 pictures of 28 × 28, 1 → 8 channels, 3 × 3, forward and kernel gradient).
    few = geometry.groups == 1 and x_channels <= 4
    return "toeplitz" if platform == "cpu" and few else "xla"


def _in_float32(run, a, b, *, geometry, method, precision, platform=""):
    """Runs one of the three, adding up half-width floats in float32."""
    if method == "auto":
        kernel_is_b = run is not _run_kernel_gradient
        method = _choose(
            platform, geometry, b.shape[-2] if kernel_is_b else a.shape[-1]
        )
    forward = partial(METHODS[method], geometry=geometry, precision=precision)
    return run(forward, widen(a), widen(b), geometry).astype(a.dtype)


def _batch(primitive, run, args, dims, **how):
    """Maps a primitive over a new axis of either operand or both.

    More examples under the same kernel are one larger batch. A kernel per network, or a
    kernel gradient per example, is a batched matrix product, unless a method is forced.
    """
    a, b = args
    if primitive is kernel_gradient_p or dims[1] is not None:
        if how["method"] == "auto":
            how = how | {"method": "toeplitz"}
        return jax.vmap(partial(_in_float32, run, **how), in_axes=dims)(a, b), 0
    a = jnp.moveaxis(a, dims[0], 0)
    # Spelt out, for −1 cannot be told where an axis is empty.
    many = a.shape[0] * a.shape[1]
    out = primitive.bind(a.reshape(many, *a.shape[2:]), b, **how)
    return out.reshape(*a.shape[:2], *out.shape[1:]), 0


def _primitive(name: str, run: Callable[..., Any]) -> Primitive:
    """A primitive whose meaning, shape and code all come from the function `run`."""
    primitive, compute = Primitive(name), partial(_in_float32, run)

    def shape(a, b, **how):
        out = jax.eval_shape(partial(compute, **how), a, b)
        return ShapedArray(out.shape, out.dtype)

    primitive.def_abstract_eval(shape)
    static = ("geometry", "method", "precision")
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=static))
    for platform in ("cpu", None):  # None: every other.
        code = partial(compute, platform=platform or "")
        lowering = mlir.lower_fun(code, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, run)
    return primitive


conv_p = _primitive("conv", _run_conv)
input_gradient_p = _primitive("conv_input_gradient", _run_input_gradient)
kernel_gradient_p = _primitive("conv_kernel_gradient", _run_kernel_gradient)

ad.defbilinear(
    conv_p,
    lambda ct, x, kernel, **how: input_gradient_p.bind(ct, kernel, **how),
    lambda ct, x, kernel, **how: kernel_gradient_p.bind(x, ct, **how),
)
ad.defbilinear(
    input_gradient_p,
    lambda ct, y, kernel, **how: conv_p.bind(ct, kernel, **how),
    lambda ct, y, kernel, **how: kernel_gradient_p.bind(ct, y, **how),
)
ad.defbilinear(
    kernel_gradient_p,
    lambda ct, x, y, **how: input_gradient_p.bind(y, ct, **how),
    lambda ct, x, y, **how: conv_p.bind(x, ct, **how),
)
