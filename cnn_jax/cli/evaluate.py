"""`cnn-jax evaluate`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from cnn_jax import report, trained
from cnn_jax.cli.options import positional
from cnn_jax.cli.quantities import show_quantities
from cnn_jax.cli.show import show_test, show_verdict


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained network on its test split or on other data.

    Args:
        run: The run folder.
        data: A folder, a CSV file or a named data set.
    """

    run: Annotated[Path, *positional("RUN")]
    data: Annotated[
        str | None, *positional("[DATA]", "(default: the test split of the run)")
    ] = None

    def __call__(self) -> int:
        """Prints the accuracy of each class, or the error of a quantity."""
        net = trained.load(self.run)
        page = report.Page(f"Evaluating {self.run}")
        split = net.examples(self.data)
        simple = trained.read_baseline(self.run) if self.data is None else None
        if net.about.target is not None:
            show_quantities(page, net.about, net.net, split, simple=simple)
            return 0
        verdict = trained.judge_split(net.net, split, net.about.classes, simple=simple)
        show_verdict(page, verdict)
        show_test(page, net, split)
        return 0
