"""Arrays on several devices: the output type of a primitive with two operands.

A custom primitive must state, as JAX's own operations do, over which axes of
`jax.shard_map` its output varies and how the output is sharded on an explicit mesh.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
from jax import lax
from jax.core import ShapedArray
from jax.interpreters import mlir
from jax.sharding import AxisType, ManualAxisType, NamedSharding, PartitionSpec

Axes = Sequence[str]


def match_varying_axes(*arrays: jax.Array) -> list[jax.Array]:
    """Casts arrays to vary over the same axes of `jax.shard_map`.

    The transpose of this cast is the sum over devices, which the gradient of an array
    shared by all devices needs.
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
    """The type of a bilinear output: axes are sharded like the operands' axes.

    Args:
        name: Name of the primitive, for messages.
        shape: Shape of the output.
        operands: Types of both operands, which vary over the same manual axes.
        axes: A name for each axis of the two operands and of the output. Axes of one
            name must be sharded alike; an axis named `""` may not be sharded.

    Returns:
        The first operand's type with the output's shape and sharding.

    Raises:
        ValueError: If the operation does not support the sharding of an operand.
    """
    first, _ = operands
    by_axis: dict[str, object] = {"": None}
    for operand, names in zip(operands, axes[:2], strict=True):
        for axis, sharded in zip(names, operand.sharding.spec, strict=True):
            if by_axis.setdefault(axis, sharded) != sharded:
                types = " and ".join(str(x) for x in operands)
                raise ValueError(
                    f"`{name}` of {types} does not support this sharding: batch axes "
                    "and output channels may be sharded, input channels only alike in "
                    "both operands, spatial axes never. Use `jax.sharding.reshard` on "
                    "an operand first."
                )
    meshes = [x.sharding.mesh for x in operands if not x.sharding.mesh.empty]
    spec = PartitionSpec(*(by_axis.get(axis) for axis in axes[2]))
    mesh = meshes[0] if meshes else first.sharding.mesh
    return first.update(shape=shape, sharding=NamedSharding(mesh, spec))


def lowering(run: Callable) -> Callable:
    """The lowering rule of a primitive that `run` implements by JAX operations.

    On an explicit mesh XLA partitions these operations. Inside `jax.shard_map` they run
    on the data of one device and are typed as not varying: the primitive's type already
    states the varying axes, and a transpose inside `run` must not sum over devices.
    """

    def rule(context, *args, **options):
        (output,) = context.avals_out
        mesh = output.sharding.mesh
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        explicit = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
        inside = partial(run, **options)
        if explicit:
            sharding = {"axes": explicit, "out_sharding": output.sharding}
            inside = jax.sharding.auto_axes(inside, **sharding)
        per_device = [
            x.update(manual_axis_type=ManualAxisType()) for x in context.avals_in
        ]
        lowered = mlir.lower_fun(inside, multiple_results=False)
        return lowered(context.replace(avals_in=per_device), *args)

    return rule
