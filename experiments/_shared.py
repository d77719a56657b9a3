"""Command line, compilation, number formats and report page of every experiment."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from sklearn.model_selection import train_test_split

from cnn_jax import compiler_options, data, report
from cnn_jax.training import NotFiniteError, Run, hardware

T = TypeVar("T")


def start(
    name: str, experiment: Callable[[Any], Any], config: type, doc: str | None
) -> None:
    """Runs the experiment `experiments.<name>` with the flags of the command line.

    Errors that the user can correct are printed in one line, without a traceback.
    """
    command = f"python -m experiments.{name}"
    options = tyro.cli(config, prog=command, description=doc)
    try:
        experiment(options)
    except (OSError, NotFiniteError, ValueError) as error:
        sys.exit(f"error: {error}")


def compiled(function: Callable) -> Callable:
    """`jax.jit(function)` with the compiler options for this device."""
    return jax.jit(function, compiler_options=compiler_options())


def progress(items: Sequence[T], description: str, console: Console) -> Iterable[T]:
    """The items, with a progress bar where the console is a terminal."""
    hidden = not console.is_terminal
    return track(items, description, console=console, disable=hidden)


def percent(shares: np.ndarray, *, digits: int = 1) -> str:
    """Mean ± standard deviation over seeds, in %; one seed has a deviation of 0."""
    deviation = shares.std(ddof=1) if len(shares) > 1 else 0.0
    return f"{100 * shares.mean():.{digits}f}±{100 * deviation:.{digits}f}"


def points(interval: Sequence[float], *, digits: int = 1) -> str:
    """A mean difference and its interval, in percentage points."""
    mean, low, high = (f"{100 * value:+.{digits}f}" for value in interval)
    return f"{mean} ({low} to {high})".replace("-", "−")


def resplit(dataset: data.Dataset, seed: int) -> data.Dataset:
    """Joins train and test split, and draws a stratified quarter as the test split."""
    images, labels = (
        np.concatenate([dataset.train[name], dataset.test[name]])
        for name in ("image", "label")
    )
    rows = np.arange(len(labels))
    parts = train_test_split(rows, test_size=0.25, stratify=labels, random_state=seed)
    train, test = ({"image": images[part], "label": labels[part]} for part in parts)
    return data.Dataset(train=train, test=test, classes=dataset.classes)


def finish(page: report.Page, run: Run, began: float) -> None:
    """Writes `report.html`, and prints the command, its time and where the page is.

    Args:
        page: The report of the experiment.
        run: The folder `runs/<experiment>/<name>`.
        began: `time.time()` at the start of the experiment.
    """
    command = ["python -m", f"experiments.{run.folder.parent.name}", *sys.argv[1:]]
    seconds = time.time() - began
    footer = f"{' '.join(command)}: {seconds:.0f} s on {hardware()}"
    path = run.folder / "report.html"
    page.write(path, footer=footer)
    page.console.print(f"\n{footer}\nreport: {path}", markup=False)
