"""The devices of a training, and how its arrays are laid out on them.

The axes of a mesh are `data` and `fsdp`. A batch is split over both. Weights and the
state of the optimizer are split over `fsdp` and repeated over `data`, so that with
`fsdp=1` every device has all of them.
"""

import logging
from functools import cache, partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")
EVERYWHERE = PartitionSpec()
ROWS = PartitionSpec(AXES)
ROWS_OF_STEPS = PartitionSpec(None, AXES)

log = logging.getLogger(__name__)


def make_mesh(devices: int | None, *, fsdp: int = 1, rows: int) -> Mesh | None:
    """The mesh of a training.

    Args:
        devices: The number of devices; None for all devices of all processes. Without
            a number, one process uses one CPU, and no more devices than divide `rows`.
        fsdp: The number of devices over which weights are split.
        rows: The number of examples that are processed at a time.

    Returns:
        The mesh, or None for one device.

    Raises:
        ValueError: If there are fewer devices, several processes would not use all of
            them, `fsdp` does not divide their number, or they do not divide `rows`.
    """
    every = sorted(jax.devices(), key=lambda one: (one.process_index, one.id))
    count = _default(len(every), fsdp, rows) if devices is None else devices
    _check(count, fsdp, rows, every)
    if len(every[:count]) == 1:
        return None
    grid = np.array(every[:count]).reshape(-1, fsdp)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto, AxisType.Auto))


def local_mesh(devices: int | None) -> Mesh | None:
    """The mesh of an evaluation, which this process does alone.

    Args:
        devices: The number of its devices; None for all, but one CPU.

    Returns:
        The mesh, or None for one device.

    Raises:
        ValueError: If there are fewer devices.
    """
    every = jax.local_devices()
    on_cpu = every[0].platform == "cpu"
    count = devices or (1 if on_cpu else len(every))
    _check_number(count, every)
    if count == 1:
        return None
    grid = np.array(every[:count]).reshape(-1, 1)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto, AxisType.Auto))


def _default(count: int, fsdp: int, rows: int) -> int:
    """All devices; in one process no more than divide the rows, and one CPU."""
    if jax.process_count() > 1:
        return count
    if jax.default_backend() == "cpu":
        return fsdp
    used = max(n for n in range(1, count + 1) if rows % n == 0 and n % fsdp == 0)
    if used < count:
        log.warning("%d of %d devices are used, which divide %d", used, count, rows)
    return used


def _check(count: int, fsdp: int, rows: int, every: list[Any]) -> None:
    _check_number(count, every)
    if jax.process_count() > 1 and count != len(every):
        raise ValueError(
            f"`devices` is {count}, but {jax.process_count()} processes use all of "
            f"their {len(every)} devices: leave it out."
        )
    if count % fsdp:
        raise ValueError(
            f"`fsdp` is {fsdp}, but must divide the number of devices, {count}."
        )
    if rows % count:
        raise ValueError(
            f"a batch, or each of its parts, has {rows} examples, but they must be a "
            f"multiple of the {count} devices: {rows - rows % count or count} or "
            f"{rows - rows % count + count}."
        )


def _check_number(count: int, every: list[Any]) -> None:
    if count <= len(every):
        return
    remedy = "choose fewer"
    if every[0].platform == "cpu":
        remedy = f"set JAX_NUM_CPU_DEVICES={count} before Python starts, or {remedy}"
    raise ValueError(
        f"`devices` is {count}, but JAX has {len(every)} ({every[0].device_kind}): "
        f"{remedy}."
    )


def state_spec(shape: tuple[int, ...], *, fsdp: int) -> PartitionSpec:
    """How an array of the state is laid out: its largest divisible axis over `fsdp`.

    Args:
        shape: That of the array.
        fsdp: The number of devices on that axis of the mesh.

    Returns:
        The axes of the mesh that split each of its axes.

    Example:
        >>> state_spec((3, 3, 8, 16), fsdp=2), state_spec((7,), fsdp=2)
        (P(None, None, None, 'fsdp'), P())
    """
    divisible = [axis for axis, n in enumerate(shape) if n and n % fsdp == 0]
    if fsdp == 1 or not divisible:
        return EVERYWHERE
    largest = max(divisible, key=lambda axis: shape[axis])
    return PartitionSpec(*[None] * largest, "fsdp")


def constrain_state(mesh: Mesh | None, tree: Any) -> Any:
    """Asks the compiler to lay out a state by `state_spec`; to be used in `jit`."""
    if mesh is None:
        return tree
    fsdp = mesh.shape["fsdp"]
    return jax.tree.map(
        lambda x: _constrain(mesh, state_spec(x.shape, fsdp=fsdp), x), tree
    )


def constrain_rows(mesh: Mesh | None, tree: Any) -> Any:
    """Asks the compiler to split the examples of a batch over all devices."""
    if mesh is None:
        return tree
    return jax.tree.map(partial(_constrain, mesh, ROWS), tree)


def constrain_everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """Asks the compiler to bring arrays together on every device."""
    if mesh is None:
        return tree
    return jax.tree.map(partial(_constrain, mesh, EVERYWHERE), tree)


def _constrain(mesh: Mesh, spec: PartitionSpec, x: Any) -> Any:
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


def replicate(mesh: Mesh | None, tree: chex.ArrayTree) -> Any:
    """Arrays that every device holds, from arrays that every process holds."""
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    return jax.tree.map(partial(put, NamedSharding(mesh, EVERYWHERE)), tree)


def put(sharding: NamedSharding, x: Any) -> Any:
    """An array on the devices of a sharding, from one that every process holds."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = put(sharding, jax.random.key_data(x))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    array = np.asarray(x)
    return jax.make_array_from_callback(
        array.shape, sharding, lambda index: array[index]
    )


def from_own_rows(mesh: Mesh | None, tree: Any, spec: PartitionSpec) -> Any:
    """Arrays that are split by `spec`, from the part that this process has read."""
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    put = partial(jax.make_array_from_process_local_data, NamedSharding(mesh, spec))
    return jax.tree.map(lambda x: put(np.asarray(x)), tree)


def own_rows(mesh: Mesh | None, rows: np.ndarray) -> np.ndarray:
    """The part of the last axis that this process reads; devices go by process."""
    if mesh is None:
        return rows
    processes = sorted({device.process_index for device in mesh.devices.flat})
    size = rows.shape[-1] // len(processes)
    first = processes.index(jax.process_index()) * size
    return rows[..., first : first + size]


def local(mesh: Mesh | None, tree: Any) -> Any:
    """The same arrays on the first device of this process alone.

    All processes must call it, because parts are brought together.
    """
    if mesh is None:
        return tree
    together = in_turn(mesh, _gather(mesh)(tree))
    return jax.tree.map(lambda x: x.addressable_data(0), together)


def in_turn(mesh: Mesh | None, outputs: Any) -> Any:
    """The outputs of a program, on several CPU devices once it has ended.

    These devices share a few threads, and the threads of two programs that exchange
    arrays may wait for each other for ever.
    """
    if mesh is not None and mesh.devices.flat[0].platform == "cpu":
        jax.block_until_ready(outputs)
    return outputs


@cache
def _gather(mesh: Mesh) -> Any:
    """The compiled identity whose outputs every device holds."""
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, EVERYWHERE))
