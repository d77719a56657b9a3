"""The training loop, one record at a time."""

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from cnn_jax.data import Dataset
from cnn_jax.data.augment import Augment
from cnn_jax.nn import Chain
from cnn_jax.tasks import Task
from cnn_jax.tasks.metrics import Loss
from cnn_jax.training.config import Config
from cnn_jax.training.early_stopping import EarlyStopping
from cnn_jax.training.evaluate import evaluate_on
from cnn_jax.training.folder import Folder
from cnn_jax.training.frozen import with_frozen
from cnn_jax.training.interrupts import Interrupts
from cnn_jax.training.record import Record
from cnn_jax.training.trainer import Trainer


def fit(
    net: Chain | Sequence[Chain],
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    task: Task | None = None,
    loss: Loss | None = None,
    optimizer: optax.GradientTransformation | None = None,
    augment: Augment | None = None,
    frozen: str | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
) -> Generator[Record, None, None]:
    """Trains a network, or several at once, and yields a record every epoch.

    Small data stays on the device and is shuffled there; large data is streamed.
    Whenever a record is yielded, and when the generator ends or is closed, `net` holds
    the current weights. Wrong arguments are refused at the call, before compilation.

    With a `folder`, the run can be interrupted at any moment: checkpoints are written
    while training goes on, and Ctrl-C and SIGTERM write one more before they stop it.
    `resume` continues from the newest undamaged checkpoint and reaches the very weights
    that the uninterrupted run would have reached.

    Args:
        net: Trained in place: a Chain, or several that differ in their weights only.
            Several are mapped by `vmap`, or on a CPU trained in turn.
        data: Its `train` split is trained on: one data set for all networks, or one for
            each. A `validation` split is evaluated at every record.
        config: The options.
        task: What outputs mean; by default read from the labels and `config.loss`.
        loss: A function from outputs and labels to one loss per example, instead of a
            task.
        optimizer: Any optax optimizer; by default the one that `config` names.
        augment: A function from a key and a batch of inputs to a batch; by default the
            augmentations that `config` names.
        frozen: The last stage of a prefix that is not trained, in place of that of
            `config`.
        folder: Where `checkpoints/`, `metrics.jsonl` and `profile/` go; the options are
            added to its `config.json`.
        resume: Whether to continue the run in `folder`, if there is one.

    Returns:
        A generator of records: step, loss, error and speed since the record before. The
        metrics of a batch are those before the step that it leads to.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If the networks differ in architecture, the number of data sets is
            not that of the networks, a batch is larger than the data, labels do not fit
            the task or the outputs, a stage or head is unknown, or the run in `folder`
            has other options.
        FileExistsError: If there is a run in `folder`, but not `resume`.
        PermissionError: If `folder` cannot be written to.
        NotFiniteError: While training, if a loss or weight becomes NaN or infinite.

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
    given = {"task": task, "loss": loss, "optimizer": optimizer, "augment": augment}
    trainer = Trainer(net, data, with_frozen(config, frozen), **given)
    if folder is None:
        if resume or config.profile:
            name = "resume" if resume else "profile"
            raise ValueError(f"`{name}` needs a `folder`, but there is none.")
        return _records(trainer, None)
    if not isinstance(folder, str | Path):
        raise TypeError(f"`folder` is {folder!r}, but must be a path.")
    return _records(trainer, Folder(Path(folder), trainer, resume=resume))


def check(
    net: Chain | Sequence[Chain],
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    task: Task | None = None,
    loss: Loss | None = None,
    optimizer: optax.GradientTransformation | None = None,
    augment: Augment | None = None,
) -> None:
    """Raises what `fit` would raise before it compiles, and trains nothing.

    Args:
        net: As `fit` takes it.
        data: As `fit` takes it.
        config: As `fit` takes it.
        task: As `fit` takes it.
        loss: As `fit` takes it.
        optimizer: As `fit` takes it.
        augment: As `fit` takes it.

    Raises:
        ValueError: If an argument does not fit the others; see `fit`.
    """
    given = {"task": task, "loss": loss, "optimizer": optimizer, "augment": augment}
    Trainer(net, data, config, **given)


def _records(trainer: Trainer, folder: Folder | None) -> Generator[Record, None, None]:
    if folder is not None and folder.finished:
        with folder.lock:
            folder.load_weights()
        return
    trainer.start()
    stopping = EarlyStopping(trainer.config)
    interrupts = Interrupts((lambda: None) if folder is None else folder.save_now)
    with contextlib.ExitStack() as stack:
        if folder is not None:  # Without one, Ctrl-C has nothing to wait for.
            stack.enter_context(folder.lock)
            folder.restore_into(stopping)
            stack.enter_context(interrupts)
            stack.callback(folder.close)
        stack.callback(_finish, trainer, stopping)
        while trainer.step < trainer.steps and not stopping.done:
            interrupts.busy = True
            with _profiled(folder, stopping):
                record = _next(trainer, interrupts)
            best = stopping.update(record)
            if best and trainer.best:
                trainer.best = trainer.weights()
            if folder is not None:
                folder.write(record, best=best)
            interrupts.share()
            interrupts.check()
            interrupts.busy = False
            yield record
        if folder is not None:
            interrupts.busy = True
            _finish(trainer, stopping)
            folder.finish()
            interrupts.save = lambda: None
            interrupts.check()


@contextlib.contextmanager
def _profiled(folder: Folder | None, stopping: EarlyStopping) -> Iterator[None]:
    """Traces the second record, after compilation, if `config.profile`."""
    if folder is None or not stopping.config.profile or stopping.records != 1:
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
    means |= _validate(trainer)
    count = (upto - first) * trainer.examples / trainer.batches * len(trainer.nets)
    return Record(
        epoch=epoch,
        step=upto,
        loss=means.pop("loss"),
        metrics=means,
        examples_per_second=count / seconds,
        steps=trainer.steps,
        seconds_left=(trainer.steps - upto) * seconds / (upto - first),
    )


def _validate(trainer: Trainer) -> dict[str, Any]:
    """Metrics of the validation split."""
    task = trainer.spec.task.for_evaluation()
    each = [
        evaluate_on(trainer.mesh, net, split, task)
        for net, split in trainer.validation()
        if split is not None
    ]
    if not each:
        return {}
    named = {f"validation_{name}": [one[name] for one in each] for name in each[0]}
    if trainer.single:
        return {name: values[0] for name, values in named.items()}
    return {name: np.array(values) for name, values in named.items()}


def _finish(trainer: Trainer, stopping: EarlyStopping) -> None:
    """Leaves the final weights in the networks: the best ones where they are kept."""
    ended = stopping.done or trainer.step == trainer.steps
    trainer.give_back(trainer.best if trainer.best and ended else None)
