"""`cnn-jax evaluate`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from cnn_jax import report, trained
from cnn_jax.cli.show import show_test


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained network on its test split or on other data.

    Args:
        run: The run folder.
        data: A folder, a CSV file or a named data set; by default the test split.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    data: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")
    ] = None

    def __call__(self) -> int:
        """Prints the accuracy of each class."""
        net = trained.load(self.run)
        page = report.Page(f"Evaluating {self.run}")
        show_test(page, net, net.examples(self.data))
        return 0
