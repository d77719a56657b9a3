"""The folder of a run that can be cut off: what is written there, and gone on from."""

import json
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.training.checkpoint import CheckpointManager, RunState
from cnn_jax.training.config import Config, read_fields
from cnn_jax.training.run import Run, hardware
from cnn_jax.training.trainer import Trainer

if TYPE_CHECKING:
    from cnn_jax.training.loop import EarlyStopping, Record


class Folder:
    """Checkpoints, records and the configuration of one run.

    Args:
        path: Where it lies; made if it is not there.
        trainer: What is saved and gone on from.
        resume: Whether to go on from what lies there.

    Raises:
        FileExistsError: If there are checkpoints, but not `resume`.
        PermissionError: If it cannot be written to.
        ValueError: If the run that lies there was another.
    """

    def __init__(self, path: Path, trainer: Trainer, *, resume: bool):
        self.path, self.trainer = path, trainer
        self._keeper = CheckpointManager(
            _writable(path / "checkpoints"), keep=trainer.config.keep
        )
        self._saved, self._when = -1, time.monotonic()
        self._shapes = trainer.shapes()  # Traced once, not at every save.
        self._functions = trainer.functions()
        steps = self._keeper.steps()
        if steps and not resume:
            raise FileExistsError(
                f"{path} holds a run of {steps[-1]} steps: `resume=True` goes on with "
                "it, and another folder begins anew."
            )
        self._found = self._newest() if resume else None

    def _newest(self) -> RunState | None:
        """The newest whole checkpoint, which must be one of the same run."""
        found = self._keeper.newest(self._shapes, self._check)
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

    def go_on(self, watch: "EarlyStopping") -> None:
        """Takes over what was found, and forgets records that came after it."""
        step = 0
        if self._found is not None:
            step = self._saved = self._found.step
            self.trainer.load(self._found.leaves, step)
            watch.restore(self._found.notes["watch"])
            self._found = None
        self.watch = watch
        _cut_records(self.path / "metrics.jsonl", step)
        self._write_config()

    def _write_config(self) -> None:
        """Adds how it is trained to what the run says of itself."""
        file = self.path / "config.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        known.setdefault("hardware", hardware())
        known["training"] = self._about()["config"]
        known["functions"] = self._functions
        _replace(file, json.dumps(known, indent=2))

    def note(self, record: "Record", *, best: bool) -> None:
        """Writes a record down, and saves if it is time or the best was validated."""
        try:
            Run(self.path).log(vars(record))
        except OSError as error:
            warnings.warn(
                f"a record could not be written to {self.path} ({error.strerror}); "
                "training goes on.",
                stacklevel=4,
            )
        due = time.monotonic() - self._when >= self.trainer.config.save_every
        if due or (best and "validation_loss" in record.metrics):
            self._save()

    def _save(self) -> None:
        trainer = self.trainer
        if trainer.step == self._saved:
            return
        notes = self._about() | {"watch": self.watch.notes()}
        shot = RunState(trainer.step, trainer.leaves(), notes)
        trainer.give_back()
        self._keeper.save(shot, self._shapes, trainer.nets, self.watch.score)
        self._saved, self._when = trainer.step, time.monotonic()

    def save_now(self) -> None:
        """Saves, and waits until it is written."""
        self._save()
        self._keeper.wait()

    def close(self) -> None:
        """Waits until what was begun is written."""
        self._keeper.close()


def read_config(folder: str | Path) -> Config:
    """How the run in a folder was trained.

    Args:
        folder: Which `fit` was given.

    Returns:
        Its configuration.

    Raises:
        ValueError: If there are fields that no configuration has.
        FileNotFoundError: If there is no `config.json`.
    """
    written = json.loads((Path(folder) / "config.json").read_text())
    return Config(**read_fields(Config, written["training"]))


def read_functions(folder: str | Path) -> dict[str, str]:
    """What the run in a folder was made of beside its configuration.

    Args:
        folder: Which `fit` was given.

    Returns:
        What `Trainer.functions` returned.

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


def _compare(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuses to go on with a run that would have come out elsewhere."""
    there = Config(**read_fields(Config, found["config"]))
    here = Config(**read_fields(Config, wanted["config"]))
    lines = here.differences(there) + [
        f"{name}: {wanted[name]} here, {found[name]} there"
        for name in ("networks", "examples")
        if wanted[name] != found[name]
    ]
    own, other = wanted["functions"], found["functions"]
    lines += [
        f"{name}: {own[name]} here, {other[name]} there"
        for name in ("loss", "optimizer", "augment")
        if own[name] != other[name]
    ]
    _refuse(lines)


def _refuse(lines: list[str]) -> None:
    if lines:
        raise ValueError("the run in the folder was another one:\n" + "\n".join(lines))


def _check_step(there: dict[str, str], here: dict[str, str]) -> None:
    """Refuses a step that computes something else under the same names and options."""
    same_jax = there["jax"] == here["jax"]  # Another one may write a step otherwise.
    if same_jax and there["step"] != here["step"]:
        _refuse(
            [
                "one training step: all names and options agree, but it does not "
                "compute the same; the code of the network, or of a function given as "
                "`loss`, `optimizer` or `augment`, has changed"
            ]
        )


def _cut_records(file: Path, step: int) -> None:
    """Leaves out records of steps that are taken again, and a line cut short."""
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
    """Writes all or nothing."""
    written = file.with_name(f".{file.name}.new")
    written.write_text(text)
    os.replace(written, file)
