"""One checkpoint of a run on disk: arrays, and notes with a checksum of each.

The item `state` holds each array once, under its path, such as
`params/stages/conv1/kernel`; plain Orbax reads it. The item `notes` holds JSON values
and checksums, so that damage is noticed.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from cnn_jax.data.errors import DamagedError, first_line, raise_if_system
from cnn_jax.data.quiet import quiet
from cnn_jax.training.arrays import Shapes, by_path, checksum, compare, nested
from cnn_jax.training.quiet_threads import quiet_threads

T = TypeVar("T")
MARGIN = 2**20  # Bytes of a checkpoint beside its arrays, at most.


class Notes(NamedTuple):
    """What a checkpoint says beside its arrays.

    Args:
        values: JSON values, such as the configuration.
        shapes: The name, shape and dtype of each array.
        checksums: The checksum of each array.
    """

    values: dict[str, Any]
    shapes: Shapes
    checksums: dict[str, str]


def alone() -> ocp.options.MultiprocessingOptions:
    """Orbax's options for a process that reads or writes without the others."""
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"alone{me}"
    )


def checkpointer(handler: Callable[..., Any]) -> ocp.Checkpointer:
    """A reader or writer of this process alone.

    Args:
        handler: The class of its handler, which is given the same options.
    """
    return ocp.Checkpointer(
        handler(multiprocessing_options=alone()), multiprocessing_options=alone()
    )


def items(arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Any:
    """The items of a checkpoint, as Orbax saves them.

    Args:
        arrays: By path.
        values: JSON values for the notes.
    """
    notes = {
        "notes": values,
        "shapes": {n: (a.shape, str(a.dtype)) for n, a in arrays.items()},
        "checksums": {name: checksum(array) for name, array in arrays.items()},
    }
    text = json.dumps(notes)
    return {
        "state": ocp.args.StandardSave(nested(arrays)),
        "notes": ocp.args.JsonSave({"text": text, "checksum": checksum(text)}),
    }


def check_space(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises the error of the system if arrays do not fit on the disk.

    Orbax would find out in several threads, each with a traceback of its own.

    Args:
        folder: Where they are to be written.
        arrays: By path.

    Raises:
        OSError: If the disk or a quota is full, or a limit would be exceeded.
    """
    size = sum(array.nbytes for array in arrays.values()) * 11 // 10 + MARGIN
    if not hasattr(os, "posix_fallocate"):
        if (free := shutil.disk_usage(folder).free) < size:
            raise OSError(f"{size:,} bytes are needed, but {free:,} are free")
        return
    probe = folder / f".space-{os.getpid()}"
    try:
        with open(probe, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    finally:
        probe.unlink(missing_ok=True)


def check_merged(path: Path) -> None:
    """Removes a checkpoint whose parts Orbax could not list, and so did not merge.

    Orbax calls it whole all the same, but nothing can be read from it.

    Args:
        path: The folder of the checkpoint.

    Raises:
        OSError: If it was not merged.
    """
    parts = {part.parent for part in path.glob("*/ocdbt.process_*")}
    if not all((item / "manifest.ocdbt").exists() for item in parts):
        shutil.rmtree(path)
        raise OSError(f"the arrays in {path} were not merged")


def read_notes(path: Path) -> Notes:
    """The notes of a checkpoint.

    Args:
        path: The folder of the checkpoint.

    Raises:
        DamagedError: If they are not those that were written.
        OSError: If the system could not read them.
    """

    def read() -> tuple[str, str]:
        with quiet(), checkpointer(ocp.JsonCheckpointHandler) as reader:
            found = reader.restore(path / "notes")
        return str(found["text"]), str(found["checksum"])

    text, stored = whole(path, read)
    if checksum(text) != stored:
        raise DamagedError("its notes are not those that were written")
    found = json.loads(text)
    shapes = {n: (tuple(s), kind) for n, (s, kind) in found["shapes"].items()}
    return Notes(found["notes"], shapes, found["checksums"])


def read_arrays(
    path: Path, shapes: Shapes, checksums: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Some arrays of a checkpoint, by path.

    Args:
        path: The folder of the checkpoint.
        shapes: Those of its arrays that are read.
        checksums: Of its notes.

    Raises:
        DamagedError: If they are not those that were written.
        OSError: If the system could not read them.
    """
    like = nested({name: np.empty(*shape) for name, shape in shapes.items()})

    def read() -> Any:
        with quiet(), checkpointer(ocp.PyTreeCheckpointHandler) as reader:
            options = ocp.args.PyTreeRestore(like, partial_restore=True)
            return reader.restore(path / "state", args=options)

    found = by_path(whole(path, read))
    if any(checksum(found[name]) != checksums[name] for name in shapes):
        raise DamagedError("its arrays are not those that were written")
    return found


def whole(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns, unless the checkpoint is damaged.

    Orbax reports damage by any kind of exception, and an error of the system sometimes
    alike. So a checkpoint is damaged if reading it fails twice although every byte of
    it can be read.

    Args:
        path: The folder of the checkpoint.
        read: Reads a part of it.

    Raises:
        DamagedError: If it is damaged.
        OSError: If the system could not read it.
    """
    quiet_threads()
    try:
        return read()
    except Exception as error:  # Sorted out here and below; nothing passes.
        raise_if_system(error)
    for file in sorted(path.rglob("*")):
        if file.is_file():
            file.read_bytes()
    try:
        return read()
    except Exception as error:  # Orbax has no kind of its own for damage.
        raise_if_system(error)
        raise DamagedError(
            f"it cannot be read: {type(error).__name__}: {first_line(error)}"
        ) from error


def naming(path: Path, read: Callable[[], T]) -> T:
    """What `read` returns; an error on damage names the checkpoint.

    Args:
        path: The folder of the checkpoint.
        read: Reads a part of it.

    Raises:
        DamagedError: If it is damaged.
    """
    try:
        return read()
    except DamagedError as error:
        raise DamagedError(f"the checkpoint {path} is damaged ({error}).") from None


def read_weights(
    path: Path, variables: Shapes, wanted: Collection[str], index: int
) -> dict[str, np.ndarray]:
    """Variables of a network in a checkpoint of a run.

    Args:
        path: The folder of the checkpoint.
        variables: The names and shapes of all variables of the network.
        wanted: The names of those that are read.
        index: The number of the network.

    Returns:
        Arrays by path.

    Raises:
        ValueError: If the network has another architecture, or the arrays are damaged.
    """
    _, shapes, checksums = read_notes(path)
    paths, stacked = _variable_paths(shapes, index)
    found = {name: shapes[path] for name, path in paths.items()}
    if stacked:
        found = {name: (shape[1:], kind) for name, (shape, kind) in found.items()}
    compare(found, variables)
    read = {paths[name]: shapes[paths[name]] for name in wanted}
    arrays = read_arrays(path, read, checksums)
    rows = index if stacked else ...
    return {name: arrays[paths[name]][rows] for name in wanted}


def _variable_paths(shapes: Shapes, index: int) -> tuple[dict[str, str], bool]:
    """Where each variable of a network lies, and whether several are stacked there.

    The moving average of a weight, if there is one, comes before the weight itself.
    """
    stacked = shapes.get("networks/0/step", ((), ""))[0] != ()
    prefix = f"networks/{0 if stacked else index}/" if "step" not in shapes else ""
    found: dict[str, str] = {}
    for part in ("average/0", "average/1", "params", "frozen", "rest"):
        start = f"{prefix}{part}/"
        for path in shapes:
            if path.startswith(start):
                found.setdefault(path.removeprefix(start), path)
    if not found:
        raise ValueError(f"the checkpoint holds no network {index}.")
    return found, stacked
