"""Progress bar for training."""

import contextlib
from collections.abc import Generator, Iterable

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cnn_jax.training.record import Record


def progress_bar(
    records: Iterable[Record], *, name: str = "", console: Console | None = None
) -> Generator[Record, None, None]:
    """Shows records as a progress bar, or as ten lines where there is no terminal.

    Args:
        records: What `fit` yields.
        name: A title.
        console: The output; the terminal by default.

    Yields:
        The same records.
    """
    console = console or Console(highlight=False)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(_bar(console)) if console.is_terminal else None
        task = None if bar is None else bar.add_task(name, now="")
        tenth = 0
        for record in records:
            if bar is None or task is None:
                reached = 10 * record.step // max(1, record.steps)
                if reached > tenth:
                    console.print(_line(name, record), markup=False, soft_wrap=True)
                tenth = reached
            else:
                total, now = record.steps, describe(record)
                bar.update(task, completed=record.step, total=total, now=now)
            yield record
        if bar is not None and task is not None:
            bar.update(task, total=bar.tasks[task].completed)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(16),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
        console=console,
    )


def _line(name: str, record: Record) -> str:
    left = f"{record.seconds_left:,.0f} s left"
    epoch = f"epoch {record.epoch}, step {record.step:,} of {record.steps:,}"
    return f"{name + ': ' if name else ''}{epoch}: {describe(record)}, {left}"


def describe(record: Record) -> str:
    """Loss, error rate and speed; means over networks."""
    parts = [f"loss {np.mean(record.loss):.3f}"]
    if "error" in record.metrics:
        parts.append(f"error {np.mean(record.metrics['error']):.2%}")
    if "validation_error" in record.metrics:
        parts.append(f"validation {np.mean(record.metrics['validation_error']):.2%}")
    return ", ".join([*parts, f"{record.examples_per_second:,.0f}/s"])
