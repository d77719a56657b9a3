"""The folder of a run that can be interrupted and resumed."""

import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from cnn_jax.training.checkpoint_manager import CheckpointManager, RunState
from cnn_jax.training.config import Config, read_fields
from cnn_jax.training.early_stopping import EarlyStopping
from cnn_jax.training.record import Record
from cnn_jax.training.run import Run, hardware
from cnn_jax.training.trainer import Trainer


class Folder:
    """Checkpoints, records and the configuration of one run.

    Args:
        path: Made if it is not there.
        trainer: Is saved and restored.
        resume: Whether to continue from the newest checkpoint there.

    Raises:
        FileExistsError: If there are checkpoints, but not `resume`.
        PermissionError: If it cannot be written to.
        ValueError: If the run there has other options.
    """

    def __init__(self, path: Path, trainer: Trainer, *, resume: bool):
        self.path, self.trainer = path, trainer
        self._manager = CheckpointManager(
            _writable(path / "checkpoints"), keep=trainer.config.keep
        )
        self._saved, self._when = -1, time.monotonic()
        self._functions = trainer.functions()
        steps = self._manager.steps()
        if steps and not resume:
            raise FileExistsError(
                f"{path} holds a run of {steps[-1]} steps: `resume=True` continues it, "
                "and another folder starts a new run."
            )
        self._found = self._newest() if resume else None

    def _newest(self) -> RunState | None:
        """The newest undamaged checkpoint, which must be of the same run."""
        found = self._manager.newest(self.trainer.shapes(), self._check)
        if found is not None:
            _check_step(found.notes["functions"], self._functions)
        return found

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
        _cut_records(self.path / "metrics.jsonl", step)
        self._write_config()

    def _write_config(self) -> None:
        """Adds the options of the training to `config.json`."""
        file = self.path / "config.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        known.setdefault("hardware", hardware())
        known["training"] = self._about()["config"]
        known["functions"] = self._functions
        _replace(file, json.dumps(known, indent=2))

    def write(self, record: Record, *, best: bool) -> None:
        """Writes a record, and a checkpoint if it is time or the best so far."""
        try:
            Run(self.path).log(vars(record))
        except OSError as error:
            warnings.warn(
                f"a record could not be written to {self.path} ({error.strerror}); "
                "training continues.",
                stacklevel=4,
            )
        due = time.monotonic() - self._when >= self.trainer.config.save_every
        if due or (best and "validation_loss" in record.metrics):
            self._save()

    def _save(self) -> None:
        trainer = self.trainer
        if trainer.step == self._saved:
            return
        notes = self._about() | {"early_stopping": self.stopping.state()}
        state = RunState(trainer.step, trainer.tree(), notes)
        self._manager.save(state, self.stopping.score)
        self._saved, self._when = trainer.step, time.monotonic()

    def save_now(self) -> None:
        """Saves, and waits until it is written."""
        self._save()
        self._manager.wait()

    def close(self) -> None:
        """Waits until the last checkpoint is written."""
        self._manager.close()


def read_config(folder: str | Path) -> Config:
    """The configuration of the training in a folder.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        Its configuration.

    Raises:
        ValueError: If there is an unknown field.
        FileNotFoundError: If there is no `config.json`.
    """
    written = json.loads((Path(folder) / "config.json").read_text())
    return Config(**read_fields(Config, written["training"]))


def read_functions(folder: str | Path) -> dict[str, str]:
    """The functions of the training in a folder that its configuration does not hold.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        Qualified names of `loss`, `optimizer` and `augment`, the version of JAX, and a
        hash of one training step.

    Raises:
        FileNotFoundError: If there is no `config.json`.
    """
    return json.loads((Path(folder) / "config.json").read_text())["functions"]


def _writable(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"{path} cannot be made: {error.strerror}. Choose another `folder`."
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written to. Choose another `folder`.")
    return path


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
    for line in file.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record.get("step", 0) <= step:
            kept.append(line + "\n")
    _replace(file, "".join(kept))


def _replace(file: Path, text: str) -> None:
    """Writes the whole text or nothing."""
    written = file.with_name(f".{file.name}.new")
    written.write_text(text)
    os.replace(written, file)
