"""Training, as `train` and `resume` share it."""

import contextlib
import time
import warnings
from collections.abc import Callable, Generator
from pathlib import Path

from cnn_jax import nn, report, trained, training
from cnn_jax.cli.mistakes import show_mistakes
from cnn_jax.cli.quantities import show_quantities
from cnn_jax.cli.reuse import remove_start
from cnn_jax.cli.show import show_verdict
from cnn_jax.data import Dataset


def run_fit(
    page: report.Page,
    folder: Path,
    net: nn.Chain,
    dataset: Dataset,
    config: training.Config,
    began: float,
) -> int:
    """Trains with a progress bar, and adds the report of the run to the page.

    Args:
        page: The page.
        folder: The run folder.
        net: The network.
        dataset: The data.
        config: The options of the training.
        began: When the command started, in seconds.

    Returns:
        The exit status: 1 if something could not be saved.
    """
    page.section("Training")
    about = trained.read_metadata(folder)
    standardised = trained.standardised(dataset, about.target)
    records = training.fit(net, standardised, config, folder=folder, resume=True)
    saved = _train(page, folder, records)
    first = training.is_first()
    training.shutdown()
    if not first:  # The first process evaluates, on its own devices.
        return int(not saved)
    if saved:
        remove_start(folder)
    verdict = _judge(page, about, net, dataset)
    saved &= _attempt(lambda: trained.write_verdict(folder, verdict))
    show_mistakes(page, about, net, dataset)
    page.section("The training in detail")
    saved &= _attempt(
        lambda: training.write_report(folder, net, standardised, page=page)
    )
    page.text(f"{time.time() - began:.0f} s on {training.hardware()}")
    if saved:
        page.text(f"report: {folder / 'report.html'}")
    return int(not saved)


def _judge(
    page: report.Page, about: trained.Metadata, net: nn.Chain, dataset: Dataset
) -> trained.Verdict | trained.QuantityScores:
    """Adds the verdict on the network to the page."""
    if about.target is not None:
        simple = trained.baseline(dataset)
        return show_quantities(
            page, about, net, dataset.test, simple=simple, first=True
        )
    verdict = trained.judge(net, dataset)
    show_verdict(page, verdict, first=True)
    return verdict


def _train(
    page: report.Page, folder: Path, records: Generator[training.Record, None, None]
) -> bool:
    """Trains; returns whether everything was saved."""
    try:
        with contextlib.closing(records):
            shown = list(training.progress_bar(records, console=page.console))
    except (KeyboardInterrupt, SystemExit):
        page.text(
            f"Stopped. `cnn-jax resume {folder}` continues, and `cnn-jax evaluate "
            f"{folder}` evaluates the best weights so far."
        )
        raise
    except training.NotSavedError as error:
        warnings.warn(f"{error} The results follow.", stacklevel=2)
        return False
    if not shown:
        page.text("The training of this run is finished; it is evaluated again.")
    return True


def _attempt(write: Callable[[], object]) -> bool:
    """Whether something could be written; it warns if not."""
    try:
        write()
    except OSError as error:
        warnings.warn(f"not written: {error}.", stacklevel=2)
        return False
    return True
