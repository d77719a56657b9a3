"""The loop: from a network and data to a trained network, one record at a time."""

import contextlib
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from cnn_jax.data import Dataset
from cnn_jax.data.augment import Augment
from cnn_jax.nn import Chain
from cnn_jax.training.config import Config
from cnn_jax.training.evaluate import evaluate
from cnn_jax.training.folder import Folder
from cnn_jax.training.interrupts import Interrupts
from cnn_jax.training.metrics import Loss
from cnn_jax.training.trainer import Trainer


@dataclass(frozen=True)
class Record:
    """What the steps since the last one came to; an entry per network where many are.

    Args:
        epoch: Of which it is a part or the whole, from 1.
        step: How many steps were taken.
        loss: Its mean over the examples of these steps.
        metrics: `error`, the share of wrong logits; and what is said of the validation
            split, under `validation_loss` and `validation_error`.
        examples_per_second: Over these steps, of all networks together.
        steps: How many there are to be, if nothing ends training early.
        seconds_left: Until then, at this speed.
    """

    epoch: int
    step: int
    loss: Any
    metrics: dict[str, Any] = field(default_factory=dict)
    examples_per_second: float = 0.0
    steps: int = 0
    seconds_left: float = 0.0


def fit(
    net: Chain | Sequence[Chain],
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    loss: Loss | None = None,
    optimizer: optax.GradientTransformation | None = None,
    augment: Augment | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
) -> Generator[Record, None, None]:
    """Trains a network, or many alike, and yields a record every epoch.

    Small data lies on the device and is shuffled there; large data is streamed.
    Whenever a record is out, and when the generator ends or is closed, `net` holds the
    weights learned so far. What is wrong is said at the call, before any compilation.

    With a `folder`, the run can be cut off at any moment: its checkpoints are written
    while it goes on, Ctrl-C and SIGTERM write one more before they end it, and with
    `resume` it goes on from the newest that is whole, to the very weights that it would
    have come to.

    Args:
        net: What is trained, in place: a Chain, or several that differ in their weights
            alone, side by side: mapped by `vmap`, or on a CPU in turn.
        data: What it learns from, its `train` split: one for all, or one for each
            network. The `validation` split, if there is one, is evaluated every record.
        config: How.
        loss: From logits and labels to one loss per example; by default the one that
            `config` names.
        optimizer: Any of optax's; the one that `config` names by default.
        augment: From a key and a batch of inputs to a batch that is as good; what
            `config` names by default.
        folder: Where `checkpoints/`, `metrics.jsonl` and `profile/` go; how it is
            trained is added to its `config.json`.
        resume: Whether to go on with the run in `folder`, if there is one.

    Returns:
        A generator of records: the step, and the loss, error and speed since the record
        before. Each batch was measured before the step it led to.

    Raises:
        ValueError: If the networks differ in architecture, there are not as many data
            sets as networks, a batch is larger than the data, labels do not fit the
            loss or the logits, a stage or head is unknown, or the run in `folder` was
            another one.
        FileExistsError: If there is a run in `folder`, but not `resume`.
        PermissionError: If `folder` cannot be written to.
        NotFiniteError: While training, if a loss or weight is no longer a number.

    Example:
        >>> from cnn_jax import nn
        >>> from flax import nnx
        >>> table, label = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])
        >>> split = {"table": table, "label": label}
        >>> data = Dataset(train=split, test=split, classes=("a", "b"))
        >>> net = nn.Chain({"classifier": nn.Dense(4, 2, rngs=nnx.Rngs(0))})
        >>> config = Config(50, batch_size=2, learning_rate=0.1, desired_error=0.0)
        >>> [*_, last] = fit(net, data, config)
        >>> last.metrics["error"]
        0.0
    """
    trainer = Trainer(
        net, data, config, loss=loss, optimizer=optimizer, augment=augment
    )
    if folder is None:
        if resume or config.profile:
            what = "resume" if resume else "profile"
            raise ValueError(f"`{what}` needs a `folder`, but there is none.")
        return _records(trainer, None)
    return _records(trainer, Folder(Path(folder), trainer, resume=resume))


def _records(trainer: Trainer, folder: Folder | None) -> Generator[Record, None, None]:
    trainer.start()
    watch = EarlyStopping(trainer.config)
    interrupts = Interrupts((lambda: None) if folder is None else folder.save_now)
    with contextlib.ExitStack() as stack:
        if folder is not None:  # Without one, Ctrl-C has nothing to wait for.
            folder.go_on(watch)
            stack.enter_context(interrupts)
            stack.callback(folder.close)
        stack.callback(_finish, trainer, watch)
        while trainer.step < trainer.steps and not watch.done:
            interrupts.busy = True
            with _profiled(folder, watch):
                record = _next(trainer, interrupts)
            best = watch.see(record)
            if best and trainer.best:
                trainer.best = trainer.weights()
            if folder is not None:
                folder.note(record, best=best)
            interrupts.check()
            interrupts.busy = False
            yield record
        if folder is not None:
            folder.save_now()


@contextlib.contextmanager
def _profiled(folder: Folder | None, watch: "EarlyStopping") -> Iterator[None]:
    """Traces the second record, when all is compiled, if that was asked for."""
    if folder is None or not watch.config.profile or watch.records != 1:
        yield
        return
    with jax.profiler.trace(folder.path / "profile"):
        yield


def _next(trainer: Trainer, interrupts: Interrupts) -> Record:
    """Trains up to the next record."""
    config, first, began = trainer.config, trainer.step, time.perf_counter()
    every = config.record_every or trainer.batches
    epoch = first // trainer.batches + 1
    upto = min((first // every + 1) * every, epoch * trainer.batches)
    trainer.advance(upto, interrupts)
    means = trainer.means()
    seconds = time.perf_counter() - began
    trainer.give_back()
    means |= _validated(trainer)
    seen = (upto - first) * trainer.examples / trainer.batches * len(trainer.nets)
    return Record(
        epoch=epoch,
        step=upto,
        loss=means.pop("loss"),
        metrics=means,
        examples_per_second=seen / seconds,
        steps=trainer.steps,
        seconds_left=(trainer.steps - upto) * seconds / (upto - first),
    )


def _validated(trainer: Trainer) -> dict[str, Any]:
    """What the networks make of the validation split."""
    found = [
        evaluate(net, one.validation, loss=trainer.plain_loss)
        for net, one in zip(
            trainer.nets,
            trainer.every * (len(trainer.nets) // len(trainer.every)),
            strict=True,
        )
        if one.validation is not None
    ]
    if not found:
        return {}
    named = {f"validation_{name}": [one[name] for one in found] for name in found[0]}
    if trainer.single:
        return {name: values[0] for name, values in named.items()}
    return {name: np.array(values) for name, values in named.items()}


def _finish(trainer: Trainer, watch: "EarlyStopping") -> None:
    """Leaves the weights in the networks: the best where training waited for better."""
    ended = watch.done or trainer.step == trainer.steps
    trainer.give_back(trainer.best if trainer.best and ended else None)


@dataclass
class EarlyStopping:
    """Whether training still gets better.

    Args:
        config: Which says how good is good enough, and how long to wait.
        best: The score of the best record.
        score: That of the last, the less the better.
        waited: Records since the best.
        records: How many there were.
        done: Whether training ends.
    """

    config: Config
    best: float = math.inf
    score: float = math.inf
    waited: int = 0
    records: int = 0
    done: bool = False

    def see(self, record: Record) -> bool:
        """Looks at a record, and says whether it is the best so far."""
        self.score = float(np.mean(record.metrics.get("validation_loss", record.loss)))
        better = self.score < self.best
        self.best = min(self.best, self.score)
        self.waited = 0 if better else self.waited + 1
        self.records += 1
        patience, desired = self.config.patience, self.config.desired_error
        error = record.metrics.get("error")
        self.done = patience is not None and self.waited >= patience
        if desired is not None and error is not None:
            self.done |= bool(np.all(error <= desired))
        return better

    def notes(self) -> dict[str, Any]:
        """All but the configuration."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    def restore(self, notes: dict[str, Any]) -> None:
        """Takes over what `notes` gave."""
        for name, value in notes.items():
            setattr(self, name, value)
