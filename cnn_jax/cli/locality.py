"""`cnn-jax locality`."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

from cnn_jax import data, locality, report, training
from cnn_jax.cli.options import DataDir, Drop, Label, RunName, Size, positional
from cnn_jax.cli.show import show_locality
from cnn_jax.data.options import refuse
from cnn_jax.data.splits import check_seed
from cnn_jax.data.table import SUFFIXES
from cnn_jax.data.table_file import cells_of


@dataclasses.dataclass(frozen=True)
class Locality:
    """Ask whether a convolutional network is the right tool for your data.

    The same small network is trained on the data as they are and with their columns,
    pixels or samples in other orders; a network without convolutions and boosted trees
    are trained too. About a minute for 1,000 rows of 30 columns.

    Args:
        data: A folder, a CSV file, or a name that `cnn-jax datasets` lists.
        label: The column of classes of a table, predicted from the others.
        drop: Columns of a table that are not used.
        size: Height and width that images are resized to.
        budget: Other orders that are tried; from 99 on, the rank decides.
        seeds: The number of splits into training and test rows.
        name: The name of the run.
        runs: The folder of all runs.
        data_dir: The folder of named data sets.
        seed: For everything random.
    """

    data: Annotated[str, *positional("DATA")]
    label: Label = None
    drop: Drop = ()
    size: Size = None
    budget: int = locality.ENOUGH
    seeds: int = 10
    name: RunName = None
    runs: Path = Path("runs")
    data_dir: DataDir = None
    seed: int = 0

    def __call__(self) -> int:
        """Prints the verdict and writes it to a page."""
        began = time.time()
        training.check_name(self.name)
        check_seed(self.seed)
        inputs, labels, names = self._load()
        result = locality.test(
            inputs,
            labels,
            key=jax.random.key(self.seed),
            names=names,
            seeds=self.seeds,
            budget=self.budget,
        )
        folder = training.Run.create(self.runs, "locality", self.name, self).folder
        page = report.Page(f"Should I use a convolutional network on {self.data}?")
        show_locality(page, result)
        footer = f"{time.time() - began:.0f} s on {training.hardware()}"
        page.write(folder / "report.html", footer=footer)
        print(f"report: {folder / 'report.html'}")
        return 0

    def _load(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All inputs and labels, and the names of columns."""
        path = Path(self.data).expanduser()
        if path.suffix.lower() in SUFFIXES:
            refuse("a table", {"size": self.size})
            return cells_of(path, label=self.label, drop=self.drop)
        options: dict[str, Any] = {"label": self.label, "drop": self.drop}
        dataset = data.load(
            self.data, size=self.size, data_dir=self.data_dir, **options
        )
        splits = dataset.splits().values()
        if not all(isinstance(split, dict) for split in splits):
            raise ValueError(f"{self.data} does not fit into memory; choose `--size`.")
        name = data.input_name(dataset.train)
        inputs = np.concatenate([split[name] for split in splits])
        labels = np.concatenate([split["label"] for split in splits])
        named = np.array(dataset.classes)[labels]
        return inputs if inputs.ndim > 2 else inputs[..., None], named, []
