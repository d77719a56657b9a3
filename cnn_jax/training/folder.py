"""The folder of a run that can be interrupted and resumed."""

import contextlib
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from flax import nnx

from cnn_jax.data.errors import first_line
from cnn_jax.data.table import in_file
from cnn_jax.training.checkpoint import restore
from cnn_jax.training.checkpoint_format import Notes, read_notes
from cnn_jax.training.checkpoint_manager import (
    CheckpointManager,
    NotSavedError,
    RunState,
)
from cnn_jax.training.config import Config, read_fields
from cnn_jax.training.early_stopping import EarlyStopping
from cnn_jax.training.lock import Lock
from cnn_jax.training.processes import agree, check_shared, is_first
from cnn_jax.training.record import Record
from cnn_jax.training.run import Run, hardware
from cnn_jax.training.run_files import (
    check_value,
    checked_fields,
    read_json,
    write_whole,
)
from cnn_jax.training.trainer import Trainer
from cnn_jax.training.weights import (
    BEST,
    LAST,
    best,
    load_weights,
    remove_weights,
    weights_of,
    write_weights,
)


class Folder:
    """Checkpoints, records and the configuration of one run.

    Of several processes, the first one alone writes; all of them read. What is written
    is decided by the first one, and each must call the same methods.

    Args:
        path: Made if it is not there.
        trainer: Is saved and restored.
        resume: Whether to continue from the newest checkpoint there.

    Raises:
        FileExistsError: If there are checkpoints, but not `resume`.
        PermissionError: If it cannot be written to.
        ValueError: If the run there has other options, or the processes do not share
            the folder.
    """

    def __init__(self, path: Path, trainer: Trainer, *, resume: bool):
        self.path, self.trainer = path, trainer
        self.lock = Lock(path) if is_first() else contextlib.nullcontext()
        if is_first():
            _writable(path / "checkpoints")
        check_shared(path)
        self._manager = CheckpointManager(
            path / "checkpoints", keep=trainer.config.keep
        )
        self._saved, self._when = -1, time.monotonic()
        self._functions = trainer.functions()
        self._found: RunState | None = None
        self._kept: Path | None = None  # The weights of a finished run.
        if is_first():
            Lock(path).check()
            self._find(resume=resume)
        step = agree(None if self._found is None else self._found.step)
        kept = agree(None if self._kept is None else self._kept.name)
        if not is_first() and step is not None:
            self._found = self._manager.read(step, trainer.shapes())
        if kept is not None:
            self._kept = self._manager.folder / kept

    def _find(self, *, resume: bool) -> None:
        """Finds what there is to continue from, and refuses the rest."""
        kept, steps = weights_of(self._manager.folder), self._manager.steps()
        if (kept or steps) and not resume:
            step = steps[-1] if steps or kept is None else kept[1].values["step"]
            raise FileExistsError(
                f"{self.path} holds a run of {step} steps: `resume=True` continues it, "
                "and another folder starts a new run."
            )
        self._found = self._newest() if resume and (steps or not kept) else None
        if kept and self._found is None:
            self._kept = self._finished(*kept)

    def _newest(self) -> RunState | None:
        """The newest undamaged checkpoint, which must be of the same run."""
        found = self._manager.newest(self.trainer.shapes(), self._check)
        if found is not None:
            _check_step(found.notes["functions"], self._functions)
        return found

    def _finished(self, weights: Path, notes: Notes) -> Path:
        """Weights of the same run, which has no more steps to take."""
        self._check(notes.values)
        _check_step(notes.values["functions"], self._functions)
        step, steps = notes.values["step"], self.trainer.steps
        if step < steps and not notes.values["early_stopping"]["done"]:
            raise ValueError(
                f"{self.path} holds the weights of a finished run of {step} steps, but "
                f"{steps} are asked for: to go on after its end, a run needs "
                "`keep_state=True` from the start."
            )
        return weights

    @property
    def finished(self) -> bool:
        """Whether there is nothing to train, and only weights to load."""
        return self._kept is not None

    def load_weights(self) -> None:
        """Brings the weights of a finished run into its networks."""
        if self._kept is not None:
            load_weights(self._kept, self.trainer.nets)
        if is_first():
            self._manager.end()  # Removes what a kill has left half removed.

    def _check(self, notes: dict[str, Any]) -> None:
        _compare(notes, self._about())

    def _about(self) -> dict[str, Any]:
        config = json.loads(self.trainer.config.to_json())
        return {
            "config": config,
            "networks": len(self.trainer.nets),
            "examples": self.trainer.examples,
            "functions": self._functions,
        }

    def restore_into(self, stopping: EarlyStopping) -> None:
        """Restores the newest checkpoint, and drops records of later steps."""
        step = 0
        if self._found is not None:
            step = self._saved = self._found.step
            self.trainer.load(self._found.tree, step)  # pyright: ignore[reportArgumentType]
            stopping.restore(self._found.notes["early_stopping"])
            self._found = None
        self.stopping = stopping
        if is_first():
            _cut_records(self.path / "metrics.jsonl", step)
            self._write_config()

    def _write_config(self) -> None:
        """Adds the options of the training to `config.json`."""
        file = self.path / "config.json"
        known = read_json(file, dict[str, Any]) if file.exists() else {}
        known.setdefault("hardware", hardware())
        known["training"] = self._about()["config"]
        known["functions"] = self._functions
        write_whole(file, json.dumps(known, indent=2))

    def write(self, record: Record, *, best: bool) -> None:
        """Writes a record, and a checkpoint if it is time or the best so far."""
        if is_first():
            self._log(record)
        due = time.monotonic() - self._when >= self.trainer.config.save_every
        if agree(due) or (best and "validation_loss" in record.metrics):
            self._save()

    def _log(self, record: Record) -> None:
        try:
            Run(self.path).log(vars(record))
        except OSError as error:
            warnings.warn(
                f"a record could not be written to {self.path} ({error.strerror}); "
                "training continues.",
                stacklevel=5,
            )

    def _save(self) -> None:
        trainer = self.trainer
        if trainer.step == self._saved:
            return
        notes = self._about() | {"early_stopping": self.stopping.state()}
        state = RunState(trainer.step, trainer.tree(), notes)
        if is_first():
            self._manager.save(state, self.stopping.score)
        self._saved, self._when = trainer.step, time.monotonic()

    def save_now(self) -> None:
        """Saves, and waits until it is written."""
        self._save()
        if is_first():
            self._manager.wait()

    def finish(self) -> None:
        """Keeps the weights of the networks, the best ones, and the state if asked.

        Weights are written before anything is removed, so that a run that is killed
        here has lost nothing.

        Raises:
            NotSavedError: If they could not be written.
        """
        problem = self._keep_weights() if is_first() else None
        if text := agree(None if problem is None else str(problem)):
            raise problem or NotSavedError(text)
        last = []
        if self.trainer.config.keep_state:
            self.save_now()
            last = [self.trainer.step]
        if is_first():
            self._manager.remove(set(self._manager.steps()).difference(last))

    def _keep_weights(self) -> NotSavedError | None:
        """Writes the weights; returns what to raise if they could not be written."""
        self._manager.end()
        try:
            self._write_weights()
        except OSError as error:
            problem = NotSavedError(
                f"the weights could not be written to {self._manager.folder}: "
                f"{first_line(error)}. There are checkpoints of steps "
                f"{self._manager.steps()}."
            )
            problem.__cause__ = error
            return problem
        return None

    def _write_weights(self) -> None:
        """Writes the best weights, and the last ones where they are others."""
        trainer, folder = self.trainer, self._manager.folder
        better = None if trainer.best else self._better()
        values = self._about() | {"early_stopping": self.stopping.state()}
        score = self.stopping.best if trainer.best else self.stopping.score
        if better is None:
            own = values | {"score": score}
            write_weights(folder / BEST, trainer.nets, trainer.step, own)
            remove_weights(folder / LAST)
            return
        nets = [nnx.clone(net) for net in trainer.nets]
        for i, net in enumerate(nets):
            restore(folder / str(better), net, index=i)
        other = values | {"score": read_notes(folder / str(better)).values["score"]}
        write_weights(folder / BEST, nets, trainer.step, other)
        write_weights(
            folder / LAST, trainer.nets, trainer.step, values | {"score": score}
        )

    def _better(self) -> int | None:
        """The step of the best checkpoint, if it is better than the last weights."""
        if not self._manager.steps():
            return None
        path = best(self.path)
        if not path.name.isdecimal() or int(path.name) == self.trainer.step:
            return None
        score = tuple(read_notes(path).values["score"])
        return int(path.name) if score < self.stopping.score else None

    def close(self) -> None:
        """Waits until the last checkpoint is written."""
        if is_first():
            self._manager.close()


def read_config(folder: str | Path) -> Config:
    """The configuration of the training in a folder.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        Its configuration.

    Raises:
        ValueError: If a field is missing, unknown or of another type.
        FileNotFoundError: If there is no `config.json`.
    """
    file, written = _field(folder, "training")
    with in_file(f"{file}: `training`"):
        return Config(**checked_fields("it", Config, written, more={}))


def read_functions(folder: str | Path) -> dict[str, str]:
    """The functions of the training in a folder that its configuration does not hold.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        Qualified names of `loss`, `optimizer` and `augment`, the version of JAX, and a
        hash of one training step.

    Raises:
        ValueError: If they are missing or no texts.
        FileNotFoundError: If there is no `config.json`.
    """
    file, written = _field(folder, "functions")
    check_value(f"{file}: `functions`", written, dict[str, str])
    if "loss" not in written:
        raise ValueError(f"{file}: `functions` lacks `loss`.")
    return written


def _field(folder: str | Path, name: str) -> tuple[Path, Any]:
    """A field that a training adds to `config.json`, and the path of the file."""
    file = Path(folder) / "config.json"
    written = read_json(file, dict[str, Any])
    if name not in written:
        raise ValueError(
            f"{file} lacks the field `{name}`, which is there once a training began."
        )
    check_value(f"{file}: `{name}`", written[name], dict[str, Any])
    return file, written[name]


def _writable(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"{path} cannot be made: {error.strerror}. Choose another `folder`."
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written to. Choose another `folder`.")


def _compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuses to resume a run whose options would lead to other weights."""
    there = Config(**read_fields(Config, found["config"]))
    here = Config(**read_fields(Config, expected["config"]))
    lines = here.differences(there) + [
        f"{name}: {expected[name]} here, {found[name]} there"
        for name in ("networks", "examples")
        if expected[name] != found[name]
    ]
    own, other = expected["functions"], found["functions"]
    lines += [
        f"{name}: {own.get(name)} here, {other.get(name)} there"
        for name in ("task", "loss", "optimizer", "augment")
        if own.get(name) != other.get(name)
    ]
    _refuse(lines)


def _refuse(lines: list[str]) -> None:
    if lines:
        raise ValueError(
            "the run in the folder has other options:\n" + "\n".join(lines)
        )


def _check_step(there: dict[str, str], here: dict[str, str]) -> None:
    """Refuses a training step that computes something else under the same options."""
    same_jax = there["jax"] == here["jax"]  # Another version may trace it otherwise.
    if same_jax and there["step"] != here["step"]:
        _refuse(
            [
                "one training step: all names and options agree, but it does not "
                "compute the same; the code of the network, or of a function given as "
                "`loss`, `optimizer` or `augment`, has changed"
            ]
        )


def _cut_records(file: Path, step: int) -> None:
    """Drops records of steps that are taken again, and incomplete lines."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            continue
        found = record.get("step", 0) if isinstance(record, dict) else None
        if isinstance(found, int) and found <= step:
            kept.append(line + "\n")
    write_whole(file, "".join(kept))
