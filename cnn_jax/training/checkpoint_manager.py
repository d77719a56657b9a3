"""The checkpoints of a run: written in the background, whole or not at all."""

import json
import shutil
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import chex
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from cnn_jax.data.errors import DamagedError, first_line, raise_if_system
from cnn_jax.data.quiet import quiet
from cnn_jax.training.arrays import Shapes, by_path, checksum, compare, nested

DAMAGED = "*.damaged*"  # How a damaged checkpoint is renamed.
PARTIAL = "*.orbax-checkpoint-tmp*"  # How Orbax names a folder until it is whole.


class RunState(NamedTuple):
    """A run at one step."""

    step: int
    tree: chex.ArrayTree  # Named arrays; only their leaves, in order, when it is read.
    notes: dict[str, Any]  # JSON values, such as the configuration.


class CheckpointManager:
    """The checkpoints of one run: written while training goes on, whole or not at all.

    The last few and the best are kept. The item `state` of a checkpoint holds each
    array once, under its path, such as `params/stages/conv1/kernel`; plain Orbax reads
    it. The item `notes` holds a checksum of each array, so that damage is noticed.

    Args:
        folder: Has one subfolder per step.
        keep: The number of last checkpoints that are kept.
    """

    def __init__(self, folder: Path, *, keep: int):
        self.folder, self.keep = folder.absolute(), keep
        self._manager: ocp.CheckpointManager | None = None
        self._writing: int | None = None  # The step of the last save.
        self._lost: Exception | None = None  # Why the last save failed.
        for path in self.folder.glob(PARTIAL):
            warnings.warn(f"{path} is half-written and is ignored.", stacklevel=4)

    def _opened(self) -> ocp.CheckpointManager:
        if self._manager is None:
            best = BestN(
                get_metric_fn=lambda found: [-part for part in found["score"]],  # pyright: ignore[reportArgumentType]
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
        """Removes half-written folders.

        Orbax does so too, but stops at the first in which a thread of a failed save
        still writes.
        """
        for path in self.folder.glob(PARTIAL):
            shutil.rmtree(path, ignore_errors=True)

    def save(self, state: RunState, score: Sequence[float]) -> None:
        """Starts to write a checkpoint when the one before is finished.

        Args:
            state: What a resumed run continues from.
            score: Error rate and loss; the checkpoint with the lowest is the best.
        """
        arrays = by_path(state.tree)
        notes = {
            "notes": state.notes | {"score": score},
            "shapes": {n: (a.shape, str(a.dtype)) for n, a in arrays.items()},
            "checksums": {name: checksum(array) for name, array in arrays.items()},
        }
        text = json.dumps(notes)
        items: dict[str, Any] = {
            "state": ocp.args.StandardSave(nested(arrays)),
            "notes": ocp.args.JsonSave({"text": text, "checksum": checksum(text)}),
        }
        self._settle()
        if state.step in self.steps():  # An abandoned writer has finished after all.
            return
        self._writing = state.step
        try:
            self._opened().save(
                state.step,
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
        """Waits until the last checkpoint is written.

        Raises:
            OSError: If it could not be written; those before are whole.
        """
        self._settle()
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise OSError(
                f"the last checkpoint could not be written: {first_line(lost)}. In "
                f"{self.folder} are those of steps {self.steps()}."
            ) from lost

    def close(self) -> None:
        """Waits, and closes Orbax's manager."""
        self.wait()
        if self._manager is not None:
            self._manager.close()
            self._clear()

    def steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first."""
        names = (path.name for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if name.isdecimal())

    def newest(
        self, shapes: Shapes, check: Callable[[dict[str, Any]], None]
    ) -> RunState | None:
        """The newest undamaged checkpoint; warns of each damaged one.

        Args:
            shapes: The expected names and shapes of its arrays, in order.
            check: Raises for the notes of another run, before any array is read.

        Returns:
            The state, its tree a list of leaves, or None if there is no checkpoint.

        Raises:
            OSError: If the system could not read a checkpoint; it stays where it is.
            ValueError: If the run has another architecture, or every checkpoint is
                damaged.
        """
        for step in reversed(self.steps()):
            try:
                notes, found, checksums = self._notes(step)
                check(notes)
                compare(found, shapes)
                arrays = self._arrays(step, found, checksums)
            except DamagedError as error:
                self._set_aside(step, error)
            else:
                return RunState(step, [arrays[name] for name in shapes], notes)
        if damaged := sorted(path.name for path in self.folder.glob(DAMAGED)):
            raise ValueError(
                f"every checkpoint in {self.folder} is damaged ({', '.join(damaged)}), "
                "and training does not start over where there were some: give another "
                "folder, or remove this one."
            )
        return None

    def notes(self) -> dict[int, dict[str, Any]]:
        """The notes of each undamaged checkpoint, oldest first, without its arrays.

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

    def weights(
        self, step: int, variables: Shapes, wanted: Collection[str], index: int
    ) -> dict[str, np.ndarray]:
        """Variables of a network in a checkpoint.

        Args:
            step: Of the checkpoint.
            variables: The names and shapes of all variables of the network.
            wanted: The names of those that are read.
            index: The number of the network.

        Returns:
            Arrays by path.

        Raises:
            ValueError: If the network has another architecture, or the arrays are
                damaged.
        """
        _, shapes, checksums = self._notes(step)
        paths, stacked = _variable_paths(shapes, index)
        found = {name: shapes[path] for name, path in paths.items()}
        if stacked:
            found = {name: (shape[1:], kind) for name, (shape, kind) in found.items()}
        compare(found, variables)
        read = {paths[name]: shapes[paths[name]] for name in wanted}
        arrays = self._arrays(step, read, checksums)
        rows = index if stacked else ...
        return {name: arrays[paths[name]][rows] for name in wanted}

    def _notes(self, step: int) -> tuple[dict[str, Any], Shapes, dict[str, str]]:
        def read() -> Any:
            with quiet(), ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
                found = reader.restore(self.folder / str(step) / "notes")
            return found["text"], found["checksum"]

        text, stored = self._whole(step, read)
        if checksum(text) != stored:
            raise DamagedError("its notes are not those that were written")
        found = json.loads(text)
        shapes = {n: (tuple(s), kind) for n, (s, kind) in found["shapes"].items()}
        return found["notes"], shapes, found["checksums"]

    def _arrays(
        self, step: int, shapes: Shapes, checksums: Mapping[str, str]
    ) -> dict[str, np.ndarray]:
        """Some arrays of a checkpoint, by path."""
        like = nested({name: np.empty(*shape) for name, shape in shapes.items()})

        def read() -> Any:
            with quiet(), ocp.PyTreeCheckpointer() as reader:
                options = ocp.args.PyTreeRestore(like, partial_restore=True)
                return reader.restore(self.folder / str(step) / "state", args=options)

        found = by_path(self._whole(step, read))
        if any(checksum(found[name]) != checksums[name] for name in shapes):
            raise DamagedError("its arrays are not those that were written")
        return found

    def _whole(self, step: int, read: Callable[[], Any]) -> Any:
        """What `read` returns, unless the checkpoint is damaged.

        Orbax reports damage by any kind of exception, and an error of the system
        sometimes alike. So a checkpoint is damaged if reading it fails twice although
        every byte of it can be read.
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
            raise DamagedError(first_line(error)) from error

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
        """Warns, and drops Orbax's manager, which takes the failed step for saved."""
        self._manager, self._lost = None, error
        warnings.warn(
            f"a checkpoint could not be written to {self.folder} "
            f"({first_line(error)}); "
            f"those of steps {self.steps()} are there, and the next is tried again.",
            stacklevel=4,
        )


def _variable_paths(shapes: Shapes, index: int) -> tuple[dict[str, str], bool]:
    """Where each variable of a network lies, and whether several are stacked there.

    The moving average of a weight, if there is one, comes before the weight itself.
    """
    stacked = "networks/1/step" not in shapes and "networks/0/step" in shapes
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


def best(folder: str | Path) -> Path:
    """The checkpoint of a run with the lowest score.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        A folder that `restore` reads.

    Raises:
        FileNotFoundError: If there is no checkpoint that can be read.
    """
    manager = CheckpointManager(Path(folder) / "checkpoints", keep=1)
    notes = manager.notes() if manager.folder.is_dir() else {}
    scores = {step: found["score"] for step, found in notes.items()}
    if not scores:
        raise FileNotFoundError(f"{manager.folder} has no checkpoint that can be read.")
    return manager.folder / str(min(scores, key=lambda step: scores[step]))


def read_weights(
    folder: Path, variables: Shapes, wanted: Collection[str], index: int
) -> dict[str, np.ndarray]:
    """Variables of a network in a checkpoint of a run, by path."""
    manager = CheckpointManager(folder.parent, keep=1)
    return manager.weights(int(folder.name), variables, wanted, index)
