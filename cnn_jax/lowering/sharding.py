"""Arrays on several devices: the output type of a primitive with two operands.

A primitive of our own has to say what JAX's operations say of themselves: over which
axes of `jax.shard_map` its output varies, and how it is sharded on an explicit mesh.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
from jax import lax
from jax.core import ShapedArray
from jax.interpreters import mlir
from jax.sharding import AxisType, ManualAxisType, NamedSharding, PartitionSpec

Axes = Sequence[str]


def vary_alike(*arrays: jax.Array) -> list[jax.Array]:
    """Casts arrays to vary over the same axes of `jax.shard_map`.

    The transpose of this cast is the sum over devices, without which the gradient of an
    array that all devices share would be that of one device.
    """
    varying = [jax.typeof(x).manual_axis_type.varying for x in arrays]
    every = frozenset().union(*varying)
    return [
        lax.pcast(x, tuple(sorted(every - own)), to="varying") if own != every else x
        for x, own in zip(arrays, varying, strict=True)
    ]


def output_type(
    name: str,
    shape: tuple[int, ...],
    operands: tuple[ShapedArray, ShapedArray],
    axes: Sequence[Axes],
) -> ShapedArray:
    """The type of a bilinear output: an axis is sharded as the operands' axis is.

    Args:
        name: The primitive, for messages.
        shape: The output's shape.
        operands: The types of both operands, which vary over the same manual axes.
        axes: A name for each axis of the two operands and of the output. Axes of one
            name must be sharded alike; `""` names an axis that may not be sharded.

    Returns:
        The first operand's type with the output's shape and sharding.

    Raises:
        ValueError: If an operand is sharded in a way that the operation cannot keep.
    """
    first, _ = operands
    found: dict[str, object] = {"": None}
    for operand, names in zip(operands, axes[:2], strict=True):
        for axis, placed in zip(names, operand.sharding.spec, strict=True):
            if found.setdefault(axis, placed) != placed:
                types = " and ".join(str(x) for x in operands)
                raise ValueError(
                    f"`{name}` of {types} cannot keep this sharding: batch axes and "
                    "output channels may be sharded, input channels alike in both "
                    "operands, and spatial axes not at all. Use `jax.sharding.reshard` "
                    "on an operand first."
                )
    meshes = [x.sharding.mesh for x in operands if not x.sharding.mesh.empty]
    spec = PartitionSpec(*(found.get(axis) for axis in axes[2]))
    mesh = meshes[0] if meshes else first.sharding.mesh
    return first.update(shape=shape, sharding=NamedSharding(mesh, spec))


def lowering(run: Callable) -> Callable:
    """The lowering rule of a primitive that `run` computes by ordinary operations.

    On an explicit mesh XLA partitions these operations. Inside `jax.shard_map` they
    run on one device's share, as if nothing varied: the primitive's own type has said
    what varies, and a transpose inside `run` must not add a sum over devices.
    """

    def rule(context, *args, **how):
        (output,) = context.avals_out
        mesh = output.sharding.mesh
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        explicit = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
        inside = partial(run, **how)
        if explicit:
            placed = {"axes": explicit, "out_sharding": output.sharding}
            inside = jax.sharding.auto_axes(inside, **placed)
        alone = [x.update(manual_axis_type=ManualAxisType()) for x in context.avals_in]
        lowered = mlir.lower_fun(inside, multiple_results=False)
        return lowered(context.replace(avals_in=alone), *args)

    return rule
