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

`networks` says of each operand whether it has one more axis in front, with an entry per
network (or per example, in per-example gradients of kernels); then so has the output.

`choose.py` picks the implementation of each, by ordinary operations.
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
from cnn_jax.lowering.sharding import lowering, output_type, vary_alike

Networks = tuple[bool, bool]

# The two operands of each operation, and its output.
ROLES = {
    "conv": ("x", "kernel", "y"),
    "input_gradient": ("y", "kernel", "x"),
    "kernel_gradient": ("x", "y", "kernel"),
}
# The axes that may be sharded, on both sides of those of windows and positions.
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
    how = {"geometry": geometry, "method": method, "precision": precision}
    return _bind(conv_p, x, kernel, **how)


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
    return _bind(input_gradient_p, y, kernel, **how)


def _bind(primitive: Primitive, a, b, **how) -> jax.Array:
    a, b = vary_alike(a, b)
    return primitive.bind(a, b, networks=(False, False), **how)


def _channels(operation: str, a, b, geometry: Geometry) -> int:
    """How many channels `x` has."""
    if operation == "kernel_gradient":
        return a.shape[-1]
    return b.shape[-2] * geometry.groups


def _shape(operation: str, a, b, geometry: Geometry) -> tuple[int, ...]:
    channels = _channels(operation, a, b, geometry)
    if operation == "conv":
        return (a.shape[0], *geometry.places, b.shape[-1])
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
    """A name for every axis of an array that may be sharded, else `""`."""
    first, last = AXES[role]
    if geometry.groups > 1:  # Devices would hold other channels than the groups.
        first, last = (axis if axis == "batch" else "" for axis in (first, last))
    spatial = [""] * len(geometry.window)
    front = [*spatial, first] if role == "kernel" else [first, *spatial]
    return ["network"] * many + [*front, last]


def _compute(operation: str, a, b, *, geometry, method, precision, platform=""):
    """Runs one of the three by the chosen method.

    Half-width floats are added up in float32: by XLA's own convolution on a GPU or TPU,
    and elsewhere because they are promoted to float32.
    """
    if method == "auto":
        channels = _channels(operation, a, b, geometry)
        method = choose(operation, platform, geometry, channels)
    run = getattr(METHODS[method], operation)
    dtype, hardware = a.dtype, platform != "cpu" and method == "xla"
    if not hardware:
        a, b = promote_to_float32(a), promote_to_float32(b)
    return run(a, b, geometry=geometry, precision=precision).astype(dtype)


def _compute_each(operation: str, a, b, *, networks: Networks, platform="", **how):
    """Runs one of the three, or one for each of several networks.

    A CPU runs several one after another: that took a third of the time of XLA's grouped
    convolution, and a sixth of batched products (5 networks, 25 × 32², 32 channels,
    3 × 3: 16, 37 and 92 ms). Other platforms run what XLA makes of `vmap`, a grouped
    convolution.
    """
    one = partial(_compute, operation, platform=platform, **how)
    if not any(networks):
        return one(a, b)
    if platform != "cpu":
        return jax.vmap(one, [0 if many else None for many in networks])(a, b)
    arrays, mapped = {0: a, 1: b}, [i for i in (0, 1) if networks[i]]
    moving = {i: arrays[i] for i in mapped}
    return lax.map(lambda now: one(*(arrays | now).values()), moving)


def _batch(primitive: Primitive, operation: str, args, dims, *, networks, **how):
    """Maps a primitive over a new axis of either operand or both.

    More examples under the same kernel are one larger batch. A kernel per network, or a
    kernel gradient per example, adds to the axis of networks.
    """
    new = tuple(dim is not None for dim in dims)
    if operation != "kernel_gradient" and not new[1]:
        a, axis = jnp.moveaxis(args[0], dims[0], networks[0]), int(any(networks))
        size, batch = a.shape[networks[0]], a.shape[networks[0] + 1]
        a = lax.collapse(a, networks[0], networks[0] + 2)
        out = primitive.bind(a, args[1], networks=networks, **how)
        return out.reshape(*out.shape[:axis], size, batch, *out.shape[axis + 1 :]), axis
    arrays = [
        x if dim is None else jnp.moveaxis(x, dim, 0)
        for x, dim in zip(args, dims, strict=True)
    ]
    if not any(networks):
        return primitive.bind(*arrays, networks=new, **how), 0
    sizes = [
        next(x.shape[at[i]] for i, x in enumerate(arrays) if has[i])
        for has, at in ((new, (0, 0)), (networks, new))
    ]
    flat = [
        _every_network(x, sizes, (new[i], networks[i])) for i, x in enumerate(arrays)
    ]
    out = primitive.bind(*flat, networks=(True, True), **how)
    return out.reshape(*sizes, *out.shape[1:]), 0


def _every_network(x, sizes: list[int], has: tuple[bool, bool]) -> jax.Array:
    """An operand with both axes of networks, repeated where it lacks one, as one."""
    lead = [size if there else 1 for size, there in zip(sizes, has, strict=True)]
    x = x.reshape(*lead, *x.shape[sum(has) :])
    return lax.collapse(jnp.broadcast_to(x, (*sizes, *x.shape[2:])), 0, 2)


def _primitive(operation: str) -> Primitive:
    """A primitive whose implementation `choose.py` picks."""
    primitive = Primitive("conv" if operation == "conv" else f"conv_{operation}")
    primitive.def_abstract_eval(partial(_type, operation))

    @cache  # Not before the first call, for it asks which device there is.
    def compiled():
        static = ("geometry", "method", "networks", "precision")
        options = compiler_options()
        return jax.jit(primitive.bind, static_argnames=static, compiler_options=options)

    primitive.def_impl(lambda *args, **how: compiled()(*args, **how))
    for platform in ("cpu", None):  # None: every other.
        run = partial(_compute_each, operation, platform=platform or "")
        mlir.register_lowering(primitive, lowering(run), platform)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, operation)
    return primitive


def _transpose(operation: str, wanted: int, ct, a, b, *, networks, **how):
    """The cotangent of operand `wanted`: the operation whose output is that operand."""
    first, second, out = ROLES[operation]
    arrays = {first: a, second: b, out: ct}
    many = {first: networks[0], second: networks[1], out: any(networks)}
    role = ROLES[operation][wanted]
    other = next(name for name in ROLES if ROLES[name][2] == role)
    pair = ROLES[other][:2]
    flags = tuple(many[name] for name in pair)
    found = PRIMITIVES[other].bind(*map(arrays.get, pair), networks=flags, **how)
    return found.sum(axis=0) if any(networks) and not networks[wanted] else found


PRIMITIVES = {operation: _primitive(operation) for operation in ROLES}
conv_p, input_gradient_p, kernel_gradient_p = PRIMITIVES.values()
for _operation, _made in PRIMITIVES.items():
    _rules = (partial(_transpose, _operation, wanted) for wanted in (0, 1))
    ad.defbilinear(_made, *_rules)
