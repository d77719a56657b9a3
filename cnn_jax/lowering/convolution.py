"""Convolution as a primitive with two transposes, which are primitives too.

    y[i, o] = Σ kernel[u, c, o] · x[i·s + u·d − p, c]

is linear in `x` and linear in `kernel`. With one of them fixed, the transpose of the
map sums the same products over other indices:

    conv             x, kernel → y
    input_gradient   y, kernel → x
    kernel_gradient  x, y      → kernel

Each of the three is bilinear, and its transposes are the other two. This gives forward
mode, reverse mode and derivatives of any order; a `custom_vjp` has no forward mode.

`networks` tells for each operand whether it has an additional leading axis, with an
entry per network (or per example, in per-example gradients of kernels). The output has
this axis if an operand has it.

`choose.py` picks the implementation of each.
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
from cnn_jax.lowering.geometry import Geometry, promote_to_float32
from cnn_jax.lowering.sharding import lowering, match_varying_axes, output_type

Networks = tuple[bool, bool]

# The two operands of each operation, and its output.
ROLES = {
    "conv": ("x", "kernel", "y"),
    "input_gradient": ("y", "kernel", "x"),
    "kernel_gradient": ("x", "y", "kernel"),
}
# The axes that may be sharded: the first and last, around window or spatial axes.
AXES = {"x": ("batch", "in"), "kernel": ("in", "out"), "y": ("batch", "out")}


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Convolves `[batch, *spatial, in]` with `[*window, in / groups, out]`."""
    options = {"geometry": geometry, "method": method, "precision": precision}
    return _bind(conv_p, x, kernel, **options)


def conv_transpose(
    y: jax.Array,
    kernel: jax.Array,
    *,
    geometry: Geometry,
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The transpose of `conv` with respect to `x`, of this geometry, applied to `y`."""
    options = {"geometry": geometry, "method": method, "precision": precision}
    return _bind(input_gradient_p, y, kernel, **options)


def _bind(primitive: Primitive, a, b, **options) -> jax.Array:
    a, b = match_varying_axes(a, b)
    return primitive.bind(a, b, networks=(False, False), **options)


def _channels(operation: str, a, b, geometry: Geometry) -> int:
    """The number of channels of `x`."""
    if operation == "kernel_gradient":
        return a.shape[-1]
    return b.shape[-2] * geometry.groups


def _shape(operation: str, a, b, geometry: Geometry) -> tuple[int, ...]:
    channels = _channels(operation, a, b, geometry)
    if operation == "conv":
        return (a.shape[0], *geometry.out_size, b.shape[-1])
    if operation == "input_gradient":
        return (a.shape[0], *geometry.size, channels)
    return (*geometry.window, channels // geometry.groups, b.shape[-1])


def _type(
    operation: str, a, b, *, geometry: Geometry, networks: Networks, **_
) -> ShapedArray:
    first = jax.ShapeDtypeStruct(a.shape[networks[0] :], a.dtype)
    second = jax.ShapeDtypeStruct(b.shape[networks[1] :], b.dtype)
    shape = _shape(operation, first, second, geometry)
    if any(networks):
        shape = ((a if networks[0] else b).shape[0], *shape)
    flags = (*networks, any(networks))
    axes = [
        _axes(role, geometry, many)
        for role, many in zip(ROLES[operation], flags, strict=True)
    ]
    return output_type(operation, shape, (a, b), axes)


def _axes(role: str, geometry: Geometry, many: bool) -> list[str]:
    """The names of the axes of an array; `""` for an axis that may not be sharded."""
    first, last = AXES[role]
    if geometry.groups > 1:  # The channels of a device would not match the groups.
        first, last = (axis if axis == "batch" else "" for axis in (first, last))
    spatial = [""] * len(geometry.window)
    front = [*spatial, first] if role == "kernel" else [first, *spatial]
    return ["network"] * many + [*front, last]


def _compute(operation: str, a, b, *, geometry, method, precision, platform=""):
    """Runs one of the three operations by the chosen method.

    Half-precision values are summed in float32: XLA's convolution does so on a GPU or
    TPU, and elsewhere they are promoted to float32 first.
    """
    if method == "auto":
        channels = _channels(operation, a, b, geometry)
        method = choose(operation, platform, geometry, channels)
    run = getattr(METHODS[method], operation)
    dtype, sums_in_float32 = a.dtype, platform != "cpu" and method == "xla"
    if not sums_in_float32:
        a, b = promote_to_float32(a), promote_to_float32(b)
    return run(a, b, geometry=geometry, precision=precision).astype(dtype)


def _compute_each(operation: str, a, b, *, networks: Networks, platform="", **options):
    """Runs one of the three operations, for one network or for several.

    A CPU runs several networks one after another: 16 ms, against 37 ms for XLA's
    grouped convolution and 92 ms for batched products (5 networks, 25 × 32², 32
    channels, 3 × 3). Other platforms run the grouped convolution that `vmap` gives.
    """
    one = partial(_compute, operation, platform=platform, **options)
    if not any(networks):
        return one(a, b)
    if platform != "cpu":
        return jax.vmap(one, [0 if many else None for many in networks])(a, b)
    arrays = {0: a, 1: b}
    stacked = {i: arrays[i] for i in (0, 1) if networks[i]}
    return lax.map(lambda mapped: one(*(arrays | mapped).values()), stacked)


def _batch(primitive: Primitive, operation: str, args, dims, *, networks, **options):
    """Maps a primitive over a new axis of either operand or both.

    With one kernel, the new axis joins the batch axis. With a kernel per network, or a
    kernel gradient per example, it joins the axis of networks.
    """
    new = tuple(dim is not None for dim in dims)
    if operation != "kernel_gradient" and not new[1]:
        a, axis = jnp.moveaxis(args[0], dims[0], networks[0]), int(any(networks))
        size, batch = a.shape[networks[0]], a.shape[networks[0] + 1]
        a = lax.collapse(a, networks[0], networks[0] + 2)
        out = primitive.bind(a, args[1], networks=networks, **options)
        return out.reshape(*out.shape[:axis], size, batch, *out.shape[axis + 1 :]), axis
    arrays = [
        x if dim is None else jnp.moveaxis(x, dim, 0)
        for x, dim in zip(args, dims, strict=True)
    ]
    if not any(networks):
        return primitive.bind(*arrays, networks=new, **options), 0
    sizes = [
        next(x.shape[at[i]] for i, x in enumerate(arrays) if has[i])
        for has, at in ((new, (0, 0)), (networks, new))
    ]
    flat = [
        _every_network(x, sizes, (new[i], networks[i])) for i, x in enumerate(arrays)
    ]
    out = primitive.bind(*flat, networks=(True, True), **options)
    return out.reshape(*sizes, *out.shape[1:]), 0


def _every_network(x, sizes: list[int], has: tuple[bool, bool]) -> jax.Array:
    """Broadcasts an operand to both axes of networks, and merges the two."""
    lead = [size if there else 1 for size, there in zip(sizes, has, strict=True)]
    x = x.reshape(*lead, *x.shape[sum(has) :])
    return lax.collapse(jnp.broadcast_to(x, (*sizes, *x.shape[2:])), 0, 2)


def _primitive(operation: str) -> Primitive:
    """A primitive whose implementation `choose.py` picks."""
    primitive = Primitive("conv" if operation == "conv" else f"conv_{operation}")
    primitive.def_abstract_eval(partial(_type, operation))

    @cache  # Deferred to the first call: it initializes the backend.
    def compiled():
        static = ("geometry", "method", "networks", "precision")
        options = compiler_options()
        return jax.jit(primitive.bind, static_argnames=static, compiler_options=options)

    primitive.def_impl(lambda *args, **options: compiled()(*args, **options))
    for platform in ("cpu", None):  # None: all other platforms.
        run = partial(_compute_each, operation, platform=platform or "")
        mlir.register_lowering(primitive, lowering(run), platform)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, operation)
    return primitive


def _transpose(operation: str, operand: int, ct, a, b, *, networks, **options):
    """The cotangent of an operand: the operation whose output has its role."""
    first, second, out = ROLES[operation]
    arrays = {first: a, second: b, out: ct}
    many = {first: networks[0], second: networks[1], out: any(networks)}
    role = ROLES[operation][operand]
    other = next(name for name in ROLES if ROLES[name][2] == role)
    pair = ROLES[other][:2]
    flags = tuple(many[name] for name in pair)
    out = PRIMITIVES[other].bind(*map(arrays.get, pair), networks=flags, **options)
    return out.sum(axis=0) if any(networks) and not networks[operand] else out


PRIMITIVES = {operation: _primitive(operation) for operation in ROLES}
conv_p, input_gradient_p, kernel_gradient_p = PRIMITIVES.values()
for _operation, _bilinear in PRIMITIVES.items():
    _rules = (partial(_transpose, _operation, operand) for operand in (0, 1))
    ad.defbilinear(_bilinear, *_rules)
