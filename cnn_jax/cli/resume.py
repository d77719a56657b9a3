"""`cnn-jax resume`."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

from cnn_jax import trained, training
from cnn_jax.cli.cluster import Cluster, Options
from cnn_jax.cli.fit import run_fit
from cnn_jax.cli.options import positional
from cnn_jax.cli.reuse import read_start
from cnn_jax.cli.show import show_data, show_plan


@dataclasses.dataclass(frozen=True)
class Resume:
    """Continue an interrupted run.

    Args:
        run: The run folder.
        cluster: Devices and processes, which may be others than before.
    """

    run: Annotated[Path, *positional("RUN")]
    cluster: Options = dataclasses.field(default_factory=Cluster)

    def __call__(self) -> int:
        """Trains from the newest checkpoint, evaluates and writes a report."""
        began, folder = time.time(), self.run
        self.cluster.join()
        about = trained.read_metadata(folder)
        page = self.cluster.page(f"Training on {about.data}")
        dataset = trained.load_data(folder)
        config = self.cluster.config(training.read_config(folder))
        show_data(page, about.data, dataset)
        show_plan(page, about, "as before", config, dataset)
        net = about.build()
        read_start(folder, net)
        return run_fit(page, folder, net, dataset, config, began)
