"""Training, as `train` and `resume` share it."""

import contextlib
import time
from pathlib import Path

from cnn_jax import nn, report, trained, training
from cnn_jax.cli.quantities import show_quantities
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
        The exit status.
    """
    page.section("Training")
    about = trained.read_metadata(folder)
    standardised = trained.standardised(dataset, about.target)
    records = training.fit(net, standardised, config, folder=folder, resume=True)
    try:
        with contextlib.closing(records):
            list(training.progress_bar(records, console=page.console))
    except (KeyboardInterrupt, SystemExit):
        page.text(
            f"Stopped. `cnn-jax resume {folder}` continues, and `cnn-jax evaluate "
            f"{folder}` evaluates the best weights so far."
        )
        raise
    if about.target is not None:
        simple = trained.baseline(dataset)
        found = show_quantities(
            page, about, net, dataset.test, simple=simple, first=True
        )
        trained.write_verdict(folder, found)
    else:
        verdict = trained.judge(net, dataset)
        trained.write_verdict(folder, verdict)
        show_verdict(page, verdict, first=True)
    page.section("The training in detail")
    path = training.write_report(folder, net, standardised, page=page)
    page.text(f"{time.time() - began:.0f} s on {training.hardware()}")
    page.text(f"report: {path}")
    return 0
