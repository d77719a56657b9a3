"""The weights that a finished run keeps, without the state that training needs."""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from flax import nnx

from cnn_jax.data.errors import DamagedError
from cnn_jax.data.quiet import quiet
from cnn_jax.nn import Chain
from cnn_jax.training.arrays import by_path, on_device, path_name, shapes_of
from cnn_jax.training.checkpoint_format import (
    Notes,
    check_merged,
    check_space,
    checkpointer,
    items,
    naming,
    read_arrays,
    read_notes,
    read_weights,
)
from cnn_jax.training.quiet_threads import quiet_threads

BEST, LAST = "best", "last"  # Those with the lowest score; the last, if they differ.


def write_weights(
    path: Path, nets: Sequence[Chain], step: int, values: Mapping[str, Any]
) -> None:
    """Writes all variables of networks as a checkpoint, whole or not at all.

    Args:
        path: The folder; one that is there is replaced.
        nets: The networks.
        step: The number of steps that they were trained.
        values: JSON values for the notes.

    Raises:
        OSError: If they could not be written.
    """
    each = [{"step": jnp.int32(step), "params": _variables(net)} for net in nets]
    arrays = by_path(each[0] if len(each) == 1 else {"networks": each})
    check_space(path.parent, arrays)
    quiet_threads()
    with quiet(), checkpointer(_composite) as writer:
        args = ocp.args.Composite(**items(arrays, {**values, "step": step}))
        writer.save(path, args=args, force=True)
    check_merged(path)


def _composite(
    multiprocessing_options: ocp.options.MultiprocessingOptions,
) -> ocp.CompositeCheckpointHandler:
    options = ocp.CompositeOptions(multiprocessing_options=multiprocessing_options)
    return ocp.CompositeCheckpointHandler(composite_options=options)


def remove_weights(path: Path) -> None:
    """Removes what `write_weights` wrote, if it is there."""
    if path.is_dir():
        gone = path.with_name(f"{path.name}.removed")
        path.rename(gone)
        shutil.rmtree(gone)


def load_weights(path: Path, nets: Sequence[Chain]) -> None:
    """Brings what `write_weights` wrote into networks, random states included.

    Args:
        path: The folder.
        nets: As many networks of the same architecture.

    Raises:
        ValueError: If they are of another architecture, or the weights are damaged.
    """
    for i, net in enumerate(nets):
        state = nnx.state(net)
        shapes = shapes_of(nnx.to_pure_dict(state))
        arrays = naming(path, lambda s=shapes, i=i: read_weights(path, s, s, i))
        pure = jax.tree_util.tree_map_with_path(
            lambda at, old, found=arrays: on_device(old, found[path_name(at)]),
            nnx.to_pure_dict(state),
        )
        nnx.replace_by_pure_dict(state, pure)
        nnx.update(net, state)


def weights_of(folder: Path) -> tuple[Path, Notes] | None:
    """The weights with which a finished run ended, and their notes.

    Args:
        folder: The folder of the checkpoints.

    Raises:
        DamagedError: If they are damaged.
    """
    for path in folder / LAST, folder / BEST:
        if path.is_dir():
            return path, naming(path, lambda path=path: read_notes(path))
    return None


def best(folder: str | Path) -> Path:
    """The undamaged checkpoint of a run with the lowest score.

    All of its arrays are read. It warns of each damaged checkpoint that is passed over.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        A folder that `restore` reads.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If every checkpoint is damaged.
    """
    return first_undamaged(folder, lambda path, notes: read_arrays(path, *notes[1:]))


def first_undamaged(folder: str | Path, read: Callable[[Path, Notes], object]) -> Path:
    """The first checkpoint of a run, from the lowest score up, that `read` can read.

    It warns of each damaged checkpoint that is passed over.

    Args:
        folder: The folder that `fit` was given.
        read: Gets the folder of a checkpoint and its notes.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If every checkpoint is damaged.
    """
    root, damaged = (Path(folder) / "checkpoints").absolute(), {}
    notes = {}
    for path in _checkpoints(root):
        try:
            notes[path] = read_notes(path)
        except DamagedError as error:
            damaged[path] = error
    for path in sorted(notes, key=lambda path: notes[path].values["score"]):
        try:
            read(path, notes[path])
        except DamagedError as error:
            damaged[path] = error
        else:
            _warn(damaged, path)
            return path
    if damaged:
        each = "; ".join(f"{path.name}: {error}" for path, error in damaged.items())
        raise DamagedError(f"every checkpoint in {root} is damaged ({each}).")
    raise FileNotFoundError(f"{root} has no checkpoint that can be read.")


def _checkpoints(root: Path) -> list[Path]:
    """The checkpoints of a run: first the weights that it keeps, then by step."""
    found = [path for path in (root / BEST, root / LAST) if path.is_dir()]
    steps = [path for path in root.glob("*") if path.name.isdecimal()]
    return found + sorted(steps, key=lambda path: int(path.name))


def _warn(damaged: Mapping[Path, DamagedError], used: Path) -> None:
    for path, error in damaged.items():
        warnings.warn(
            f"the checkpoint {path} is damaged ({error}); {used.name} is used.",
            stacklevel=4,
        )


def _variables(net: Chain) -> Any:
    return nnx.to_pure_dict(nnx.state(net))
