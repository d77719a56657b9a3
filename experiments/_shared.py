"""What every experiment does alike: read its flags, show its progress, end well."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cnn_jax import compiler_options
from cnn_jax.training import Record, hardware


def start(experiment: Callable[[Any], Any], config: type, doc: str | None) -> None:
    """Runs an experiment with the flags of the command line.

    What a user can mend ends in one line instead of a traceback.
    """
    chosen = tyro.cli(config, description=doc)
    try:
        experiment(chosen)
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


def watched(
    records: Iterable[Record], epochs: int, console: Console, name: str
) -> Iterator[Record]:
    """Passes records on, under a bar with loss, error, speed and time left."""
    columns = TextColumn("{task.description}"), BarColumn(20), TimeRemainingColumn()
    with Progress(
        *columns, TextColumn("{task.fields[now]}"), console=console
    ) as progress:
        task = progress.add_task(name, total=epochs, now="")
        for record in records:
            error = _mean(record.metrics["error"])
            now = (
                f"loss {_mean(record.loss):.3f}, wrong {error:.2%}, "
                f"{record.examples_per_second:,.0f}/s"
            )
            progress.update(task, completed=record.epoch, now=now)
            yield record
        progress.update(task, total=progress.tasks[task].completed)


def compiled(function: Callable) -> Callable:
    """`function`, compiled with what XLA should be told on this device."""
    return jax.jit(function, compiler_options=compiler_options())


def footer(began: float) -> str:
    """The command, the time it took and what it ran on."""
    script, *flags = sys.argv
    command = " ".join(["python -m", f"experiments.{Path(script).stem}", *flags])
    return f"{command}: {time.time() - began:.0f} s on {hardware()}"


def _mean(value: Any) -> float:
    return sum(value) / len(value) if hasattr(value, "__len__") else value
