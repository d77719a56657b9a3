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

How each is computed, from ordinary operations, says the table in `choose`.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.lowering.choose import METHODS, choose
from cnn_jax.lowering.compiler import compiler_options
from cnn_jax.lowering.geometry import Geometry, widen


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


def _channels(operation: str, a, b, geometry: Geometry) -> int:
    """How many channels `x` has."""
    if operation == "kernel_gradient":
        return a.shape[-1]
    return b.shape[-2] * geometry.groups


def _shape(operation: str, a, b, *, geometry: Geometry, **_) -> ShapedArray:
    channels = _channels(operation, a, b, geometry)
    if operation == "conv":
        shape = (a.shape[0], *geometry.places, b.shape[-1])
    elif operation == "input_gradient":
        shape = (a.shape[0], *geometry.size, channels)
    else:
        shape = (*geometry.window, channels // geometry.groups, b.shape[-1])
    return ShapedArray(shape, a.dtype)


def _compute(operation: str, a, b, *, geometry, method, precision, platform=""):
    """Runs one of the three by the chosen method.

    Half-width floats are added up in float32: by XLA's own convolution on a GPU or TPU,
    and elsewhere because they are made wide.
    """
    if method == "auto":
        channels = _channels(operation, a, b, geometry)
        method = choose(operation, platform, geometry, channels)
    run = getattr(METHODS[method], operation)
    dtype, hardware = a.dtype, platform != "cpu" and method == "xla"
    if not hardware:
        a, b = widen(a), widen(b)
    return run(a, b, geometry=geometry, precision=precision).astype(dtype)


def _batch(primitive, operation: str, args, dims, **how):
    """Maps a primitive over a new axis of either operand or both.

    More examples under the same kernel are one larger batch. With a kernel per network,
    or a kernel gradient per example, they go one after another: on a CPU that took a
    third of the time of XLA's grouped convolution, and a sixth of batched products
    (5 networks, 25 × 32², 32 channels, 3 × 3: 16, 37 and 92 ms).
    """
    arrays = {
        i: x if dim is None else jnp.moveaxis(x, dim, 0)
        for i, (x, dim) in enumerate(zip(args, dims, strict=True))
    }
    if operation == "kernel_gradient" or dims[1] is not None:
        moving = {i: x for i, x in arrays.items() if dims[i] is not None}

        def one(now):
            return primitive.bind(*(arrays | now).values(), **how)

        return lax.map(one, moving), 0
    a, b = arrays.values()
    # Spelt out, for −1 cannot be told where an axis is empty.
    many = a.shape[0] * a.shape[1]
    out = primitive.bind(a.reshape(many, *a.shape[2:]), b, **how)
    return out.reshape(*a.shape[:2], *out.shape[1:]), 0


def _primitive(operation: str) -> Primitive:
    """A primitive whose code comes from the table in `choose`."""
    primitive = Primitive("conv" if operation == "conv" else f"conv_{operation}")
    primitive.def_abstract_eval(partial(_shape, operation))

    @cache  # Not before the first call, for it asks which device there is.
    def compiled():
        static = ("geometry", "method", "precision")
        options = compiler_options()
        return jax.jit(primitive.bind, static_argnames=static, compiler_options=options)

    primitive.def_impl(lambda *args, **how: compiled()(*args, **how))
    for platform in ("cpu", None):  # None: every other.
        code = partial(_compute, operation, platform=platform or "")
        lowering = mlir.lower_fun(code, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, operation)
    return primitive


conv_p = _primitive("conv")
input_gradient_p = _primitive("input_gradient")
kernel_gradient_p = _primitive("kernel_gradient")

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
