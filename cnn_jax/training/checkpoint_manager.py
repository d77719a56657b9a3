"""The checkpoints of a run: written in the background, whole or not at all."""

import contextlib
import shutil
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import chex
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from cnn_jax.data.errors import DamagedError, first_line
from cnn_jax.training.arrays import Shapes, by_path, compare
from cnn_jax.training.checkpoint_format import (
    alone,
    check_merged,
    check_space,
    items,
    read_arrays,
    read_notes,
)
from cnn_jax.training.quiet_threads import quiet_threads

DAMAGED = "*.damaged*"  # How a damaged checkpoint is renamed.
PARTIAL = "*.orbax-checkpoint-tmp*"  # How Orbax names a folder until it is whole.
REMOVED = "*.removed"  # How a checkpoint is renamed before its files are removed.


class NotSavedError(OSError):
    """The last checkpoint of a run could not be written."""


class RunState(NamedTuple):
    """A run at one step."""

    step: int
    tree: chex.ArrayTree  # Named arrays; only their leaves, in order, when it is read.
    notes: dict[str, Any]  # JSON values, such as the configuration.


class CheckpointManager:
    """The checkpoints of one run: written while training goes on, whole or not at all.

    The last few and the best are kept.

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
                preservation_policy=AnyPreservationPolicy([LatestN(self.keep), best]),
                multiprocessing_options=alone(),
                create=False,
            )
            self._clear()
            quiet_threads()
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager

    def _clear(self) -> None:
        """Removes half-written folders, and those that are half removed.

        Orbax does so too, but stops at the first in which a thread of a failed save
        still writes.
        """
        for pattern in PARTIAL, REMOVED:
            for path in self.folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    def remove(self, steps: Collection[int]) -> None:
        """Removes checkpoints; what a kill leaves of one is taken for none.

        Args:
            steps: Those of the checkpoints.
        """
        for step in sorted(steps):
            path = self.folder / str(step)
            path.rename(path.with_name(f"{step}.removed"))
        self._clear()

    def save(self, state: RunState, score: Sequence[float]) -> None:
        """Starts to write a checkpoint when the one before is finished.

        Args:
            state: What a resumed run continues from.
            score: Error rate and loss; the checkpoint with the lowest is the best.
        """
        arrays = by_path(state.tree)
        written = items(arrays, state.notes | {"score": score})
        self._settle()
        if state.step in self.steps():  # An abandoned writer has finished after all.
            return
        self._writing = state.step
        try:
            check_space(self.folder, arrays)
            self._opened().save(
                state.step,
                args=ocp.args.Composite(**written),
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
                check_merged(self.folder / str(self._writing))
        except Exception as error:  # As in `save`; the warning names it.
            self._failed(error)

    def wait(self) -> None:
        """Waits until the last checkpoint is written.

        Raises:
            NotSavedError: If it could not be written; those before are whole.
        """
        self._settle()
        self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise NotSavedError(
                f"the last checkpoint could not be written: {first_line(lost)}. In "
                f"{self.folder} are those of steps {self.steps()}."
            ) from lost

    def close(self) -> None:
        """Waits, and closes Orbax's manager.

        Raises:
            NotSavedError: If the last checkpoint could not be written.
        """
        self._settle()
        try:
            if self._manager is not None:
                self._manager.close()
        except Exception as error:  # As in `save`: a part that is written late fails.
            self._failed(error)
        self._manager = None
        self._clear()
        self._raise_if_lost()

    def end(self) -> None:
        """Closes Orbax's manager; the last checkpoint is not needed any more."""
        with contextlib.suppress(NotSavedError):  # It was warned of.
            self.close()

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
                path = self.folder / str(step)
                notes, found, checksums = read_notes(path)
                check(notes)
                compare(found, shapes)
                arrays = read_arrays(path, found, checksums)
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

    def read(self, step: int, shapes: Shapes) -> RunState:
        """A checkpoint that is known to be undamaged.

        Args:
            step: Its step.
            shapes: The names and shapes of its arrays, in order.
        """
        path = self.folder / str(step)
        notes, found, checksums = read_notes(path)
        arrays = read_arrays(path, found, checksums)
        return RunState(step, [arrays[name] for name in shapes], notes)

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
            f"the checkpoint of step {self._writing} could not be written to "
            f"{self.folder} ({first_line(error)}); those of steps {self.steps()} are "
            "there, and the next is tried again.",
            stacklevel=4,
        )
