"""Weights and whole runs on disk, through Orbax."""

import errno
import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from cnn_jax.data.loader import quiet
from cnn_jax.nn import Chain

DAMAGED = "*.damaged*"  # What a checkpoint is called that is not what was written.
HALF = "*.orbax-checkpoint-tmp*"  # What Orbax calls a folder until it is whole.

Shapes = dict[str, tuple[tuple[int, ...], str]]


def save(folder: str | Path, net: Chain) -> None:
    """Writes the weights and statistics of a network to a new folder.

    Args:
        folder: Where they go.
        net: Whose they are.

    Raises:
        FileExistsError: If there is such a folder already.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; nothing was written.")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, _sealed(net))


def restore(folder: str | Path, net: Chain) -> None:
    """Reads the weights that `save` wrote into a network of the same architecture.

    Args:
        folder: Where they lie, such as the `net0` of a run's checkpoint.
        net: What takes them over.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the network is of another architecture; the message lists what it
            lacks, what it has too much, and what differs in shape. Or if the weights
            are damaged.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder with a checkpoint.")
    wanted = _saved(net)
    with quiet(), ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.metadata(folder).item_metadata.tree
        _compare(_shapes(found["net"]), _shapes(wanted))
        like = {"net": jax.tree.map(_on_host, wanted), "sum": np.zeros(32, np.uint8)}
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        read = checkpointer.restore(folder, target)
    if (read["sum"] != _seal(read["net"])).any():
        raise ValueError(f"{folder} is damaged: its weights are not what was saved.")
    state = nnx.state(net)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, read["net"]))
    nnx.update(net, state)


def _saved(net: Chain) -> dict[str, Any]:
    """All but the state of chance: a restored network draws its own."""
    return nnx.to_pure_dict(nnx.state(net, nnx.Not(nnx.RngState)))


def _sealed(net: Chain) -> dict[str, Any]:
    """The weights on the host, with a sum over their bytes."""
    tree = jax.tree.map(_on_host, _saved(net))
    return {"net": tree, "sum": _seal(tree)}


def _seal(tree: Any) -> np.ndarray:
    digests = "".join(_sums(_numbered(jax.tree.leaves(tree))))
    return np.frombuffer(bytes.fromhex(_digest(digests)), np.uint8)


def _shapes(tree: Any) -> Shapes:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {path_name(path): (tuple(x.shape), str(x.dtype)) for path, x in leaves}


def path_name(path: Any) -> str:
    """A path in a tree as a person would write it: `params/stages/conv1/kernel`."""
    keys = (str(jax.tree_util.keystr((key,), simple=True)) for key in path)
    return "/".join(key for key in keys if key != "value")


def _compare(found: Shapes, wanted: Shapes) -> None:
    lines = [f"- {name} is missing" for name in wanted.keys() - found.keys()]
    lines += [f"+ {name} is unexpected" for name in found.keys() - wanted.keys()]
    lines += [
        f"! {name} is {_say(found[name])}, but must be {_say(wanted[name])}"
        for name in found.keys() & wanted.keys()
        if found[name] != wanted[name]
    ]
    if lines:
        raise ValueError(
            "the checkpoint is of another architecture:\n" + "\n".join(sorted(lines))
        )


def _say(shape: tuple[tuple[int, ...], str]) -> str:
    return f"{shape[0]}" if shape[1] == "float32" else f"{shape[0]} {shape[1]}"


class RunState(NamedTuple):
    """A run at one moment."""

    step: int
    leaves: list[Any]  # Arrays, to go on from.
    notes: dict[str, Any]  # What JSON can hold, such as the configuration.


class DamagedError(ValueError):
    """A checkpoint that could be read, but is not what was written."""


class CheckpointManager:
    """The checkpoints of one run: written while training goes on, whole or not at all.

    The last few are kept, and the best. Each holds a sum over the bytes of every array,
    so that one which is damaged is never taken for another.

    Args:
        folder: Where they lie, one folder per step.
        keep: How many of the last are kept.
    """

    def __init__(self, folder: Path, *, keep: int):
        self.folder, self.keep = folder.absolute(), keep
        self._manager: ocp.CheckpointManager | None = None
        self._writing: int | None = None  # The step of the last save.
        self._lost: Exception | None = None  # Why the last could not be written.
        for path in self.folder.glob(HALF):
            warnings.warn(f"{path} is half-written and is left out.", stacklevel=4)

    def _opened(self) -> ocp.CheckpointManager:
        if self._manager is None:
            best = BestN(
                get_metric_fn=lambda found: -found["score"],
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            options = ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy([LatestN(self.keep), best])
            )
            self._clear()
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager

    def _clear(self) -> None:
        """Removes what is half-written; Orbax's own clearing is stopped by a writer.

        A save that failed may have threads which still write there.
        """
        for path in self.folder.glob(HALF):
            shutil.rmtree(path, ignore_errors=True)

    def save(
        self, shot: RunState, shapes: Shapes, nets: Sequence[Chain], score: float
    ) -> None:
        """Begins to write a checkpoint, when the one before is done.

        Args:
            shot: What the run goes on from.
            shapes: What each of its arrays is called, and its shape.
            nets: The networks, whose weights `restore` can read.
            score: How bad it is; the least is the best.
        """
        leaves = _numbered(map(_on_host, shot.leaves))
        notes = {
            "notes": shot.notes | {"score": score},
            "shapes": shapes,
            "sums": _sums(leaves),
        }
        text = json.dumps(notes)
        items: dict[str, Any] = {
            f"net{i}": ocp.args.StandardSave(_sealed(net)) for i, net in enumerate(nets)
        }
        items["state"] = ocp.args.StandardSave(leaves)
        items["notes"] = ocp.args.JsonSave({"text": text, "sum": _digest(text)})
        self._settle()
        if shot.step in self.steps():  # A writer that was given up has come through.
            return
        self._writing = shot.step
        try:
            self._opened().save(
                shot.step,
                args=ocp.args.Composite(**items),
                metrics={"score": score},
                force=True,
            )
            self._lost = None
        except Exception as error:  # Orbax has no kind of its own for a failed write.
            self._failed(error)

    def _settle(self) -> None:
        """Waits for the save before, and warns if it failed."""
        try:
            if self._manager is not None:
                self._manager.wait_until_finished()
                self._check_merged()
        except Exception as error:  # As in `save`; the warning names it.
            self._failed(error)

    def _check_merged(self) -> None:
        """Refuses a checkpoint whose parts Orbax could not list, and so did not merge.

        Orbax calls it whole all the same, but nothing can be read from it.
        """
        written = self.folder / str(self._writing)
        parts = {path.parent for path in written.glob("*/ocdbt.process_*")}
        if not all((item / "manifest.ocdbt").exists() for item in parts):
            shutil.rmtree(written)
            raise OSError(f"the arrays in {written} were not merged")

    def wait(self) -> None:
        """Waits until what was begun is written.

        Raises:
            OSError: If it could not be; those before are whole.
        """
        self._settle()
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise OSError(
                f"the last checkpoint could not be written: {_reason(lost)}. In "
                f"{self.folder} are those of steps {self.steps()}."
            ) from lost

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        self.wait()
        if self._manager is not None:
            self._manager.close()
            self._clear()

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, the oldest first."""
        names = (path.name for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if name.isdecimal())

    def newest(
        self, shapes: Shapes, check: Callable[[dict[str, Any]], None]
    ) -> RunState | None:
        """The newest checkpoint that is whole; names those that are not in a warning.

        Args:
            shapes: What its arrays must be called, and their shapes, in their order.
            check: Refuses the notes of another run, before any array is read.

        Returns:
            What to go on from, or None if there is nothing.

        Raises:
            OSError: If the system could not read a checkpoint; it stays where it is.
            ValueError: If the run was one of another architecture, or every checkpoint
                is damaged.
        """
        for step in reversed(self.steps()):
            try:
                notes, found, digests = self._notes(step)
                check(notes)
                _compare(found, shapes)
                leaves = self._leaves(step, found, digests)
            except DamagedError as error:
                self._set_aside(step, error)
            else:
                return RunState(step, leaves, notes)
        if damaged := sorted(path.name for path in self.folder.glob(DAMAGED)):
            raise ValueError(
                f"every checkpoint in {self.folder} is damaged ({', '.join(damaged)}), "
                "and training does not start over where there were some: give another "
                "folder, or remove this one."
            )
        return None

    def notes(self) -> dict[int, dict[str, Any]]:
        """The notes of each whole checkpoint, without its arrays, the oldest first.

        Raises:
            OSError: If the system could not read one.
        """
        found = {}
        for step in self.steps():
            try:
                found[step] = self._notes(step)[0]
            except DamagedError as error:
                path = self.folder / str(step)
                warnings.warn(
                    f"the checkpoint {path} is damaged ({error}).", stacklevel=3
                )
        return found

    def _notes(self, step: int) -> tuple[dict[str, Any], Shapes, list[str]]:
        def read() -> Any:
            with quiet(), ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
                found = reader.restore(self.folder / str(step) / "notes")
            return found["text"], found["sum"]

        text, digest = self._whole(step, read)
        if _digest(text) != digest:
            raise DamagedError("its notes are not what was written")
        read_back = json.loads(text)
        shapes = {n: (tuple(s), kind) for n, (s, kind) in read_back["shapes"].items()}
        return read_back["notes"], shapes, read_back["sums"]

    def _leaves(
        self, step: int, shapes: Shapes, digests: list[str]
    ) -> list[np.ndarray]:
        wanted = _numbered(np.empty(*shape) for shape in shapes.values())

        def read() -> Any:
            with quiet(), ocp.StandardCheckpointer() as reader:
                return reader.restore(self.folder / str(step) / "state", wanted)

        found = self._whole(step, read)
        if _sums(found) != digests:
            raise DamagedError("its arrays are not what was written")
        return [found[name] for name in sorted(found)]

    def _whole(self, step: int, read: Callable[[], Any]) -> Any:
        """What `read` returns, or the reason why it cannot.

        Orbax reports damage by whatever its readers raise, and sometimes an error of
        the system too. So damage is what fails twice although every byte can be read.
        """
        try:
            return read()
        except Exception as error:  # Sorted out here and below; nothing passes.
            raise_if_system(error)
        for file in sorted((self.folder / str(step)).rglob("*")):
            if file.is_file():
                file.read_bytes()
        try:
            return read()
        except Exception as error:  # Orbax has no kind of its own for damage.
            raise_if_system(error)
            raise DamagedError(_reason(error)) from error

    def _set_aside(self, step: int, error: DamagedError) -> None:
        path = self.folder / str(step)
        count = len(list(self.folder.glob(f"{step}.damaged*")))
        damaged = path.with_name(f"{step}.damaged{count or ''}")
        path.rename(damaged)
        warnings.warn(
            f"the checkpoint {path} is damaged ({error}); it is now called "
            f"{damaged.name}, and the one before is used.",
            stacklevel=5,
        )

    def _failed(self, error: Exception) -> None:
        """Warns, and begins anew, for a manager counts what it failed to write."""
        self._manager, self._lost = None, error
        warnings.warn(
            f"a checkpoint could not be written to {self.folder} ({_reason(error)}); "
            f"those of steps {self.steps()} are there, and the next is tried again.",
            stacklevel=4,
        )


def best(folder: str | Path) -> Path:
    """The best checkpoint of a run.

    Args:
        folder: Which `fit` was given.

    Returns:
        Its folder, in which `net0` is what `restore` reads.

    Raises:
        FileNotFoundError: If there is no checkpoint that can be read.
    """
    manager = CheckpointManager(Path(folder) / "checkpoints", keep=1)
    found = manager.notes() if manager.folder.is_dir() else {}
    scores = {step: notes["score"] for step, notes in found.items()}
    if not scores:
        raise FileNotFoundError(f"{manager.folder} has no checkpoint that can be read.")
    return manager.folder / str(min(scores, key=lambda step: scores[step]))


def shapes_of(tree: Any) -> Shapes:
    """The path and shape of each array, as a checkpoint holds it.

    Args:
        tree: Arrays or their shapes; keys are held as the numbers in them.

    Returns:
        Shapes and dtypes by path, in the order of the leaves.
    """
    return _shapes(jax.tree.map(lambda x: jax.eval_shape(_data, x), tree))


def on_device(like: Any, x: np.ndarray) -> Any:
    """An array as it was before it was saved.

    Args:
        like: Of the same kind; what is random is a key again.
        x: What was read.

    Returns:
        An array on the device, which nothing else holds.
    """
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.array(x), impl=jax.random.key_impl(like))
    return jnp.array(x)


def _data(x: Any) -> Any:
    random = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if random else x


def _on_host(x: Any) -> np.ndarray:
    """A copy, for a train step takes over the buffers of its state."""
    return np.array(_data(x))


def _numbered(leaves: Iterable[Any]) -> dict[str, Any]:
    """By number, for the paths of a state hold what file names may not."""
    return {f"{i:06}": leaf for i, leaf in enumerate(leaves)}


def _sums(leaves: Mapping[str, Any]) -> list[str]:
    return [_digest(np.ascontiguousarray(leaves[name])) for name in sorted(leaves)]


def _digest(data: Any) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def raise_if_system(error: BaseException) -> None:
    """Raises an error of the system that is behind another one, such as a full disk.

    A file that is missing is none: that is damage.

    Args:
        error: What a reader raised; TensorStore writes the system's number in its text.

    Raises:
        OSError: The one behind it.
        MemoryError: If there was too little memory.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            raise seen
        if isinstance(seen, OSError) and not isinstance(seen, FileNotFoundError):
            raise seen
        code = re.search(r"os_error_code='?(\d+)", str(seen))
        if code is not None and int(code[1]) != errno.ENOENT:
            raise OSError(int(code[1]), _reason(seen)) from error
        seen = seen.__cause__ or seen.__context__


def _reason(error: BaseException) -> str:
    """What the system said, if that is in the error; or its first line."""
    text = str(error).strip() or repr(error)
    system = re.search(r": ([^:]+) \[os_error_code", text)
    return system[1] if system else text.splitlines()[0][:200]
