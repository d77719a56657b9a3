"""`cnn-jax resume`."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

from cnn_jax import report, trained, training
from cnn_jax.cli.fit import run_fit
from cnn_jax.cli.options import positional
from cnn_jax.cli.reuse import read_start
from cnn_jax.cli.show import show_data, show_plan


@dataclasses.dataclass(frozen=True)
class Resume:
    """Continue an interrupted run.

    Args:
        run: The run folder.
    """

    run: Annotated[Path, *positional("RUN")]

    def __call__(self) -> int:
        """Trains from the newest checkpoint, evaluates and writes a report."""
        began, folder = time.time(), self.run
        about = trained.read_metadata(folder)
        page = report.Page(f"Training on {about.data}")
        dataset = trained.load_data(folder)
        config = training.read_config(folder)
        show_data(page, about.data, dataset)
        show_plan(page, about, "as before", config, dataset)
        net = about.build()
        read_start(folder, net)
        return run_fit(page, folder, net, dataset, config, began)
