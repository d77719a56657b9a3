"""`cnn-jax explain`."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Annotated

import numpy as np

from cnn_jax import report, trained, training
from cnn_jax.cli.explanation import Explainer, explain_input, make_explainer
from cnn_jax.cli.methods import Method
from cnn_jax.cli.options import RunName, optional, positional
from cnn_jax.cli.predict import expanded
from cnn_jax.data.files import attempts, reason


@dataclasses.dataclass(frozen=True)
class Explain:
    """Show why a trained network predicts what it predicts, on a page per file.

    A page shows the file, the probabilities, which parts of the input raise and lower
    the logit, the arithmetic of the logit, the training examples that are nearest for
    the network, and the unit that adds most with the examples that excite it most.
    Files that cannot be read are reported on the error output; the exit status is 1.

    Args:
        run: The run folder.
        files: Images, audio or CSV files; a folder stands for all files below it.
        method: How the input is scored. `guided_backprop` restores edges of the input,
            hardly depends on what was learned, and is offered for comparison.
        target: The class whose logit is explained.
        rows: The number of rows of a CSV file that are explained.
        name: The name of the folder of the pages.
        runs: The folder of all runs.
    """

    run: Annotated[Path, *positional("RUN")]
    files: Annotated[tuple[Path, ...], *positional("FILES...", "(required)")]
    method: Method = "integrated_gradients"
    target: Annotated[str | None, optional("CLASS", "the most probable")] = None
    rows: int = 5
    name: RunName = None
    runs: Path = Path("runs")

    def __call__(self) -> int:
        """Writes a page for each file."""
        if self.rows < 1:
            raise ValueError(f"`rows` is {self.rows}, but must be at least 1.")
        training.check_name(self.name)
        net = trained.load(self.run)
        files = expanded(self.files)
        if not files:
            raise ValueError("`files` is empty, but an explanation needs at least one.")
        explainer = make_explainer(net, self.method, self.target)
        folder = training.Run.create(self.runs, "explain", self.name, self).folder
        broken = 0
        inputs = attempts(net.reader, files)
        for i, (file, x) in enumerate(zip(files, inputs, strict=True), 1):
            if isinstance(x, Exception):
                broken += 1
                print(f"{file}: {reason(x)}", file=sys.stderr)
            else:
                self._write(folder, i, file, explainer, x)
        if broken:
            count = f"{broken:,} of {len(files):,}"
            print(f"{count} files could not be read.", file=sys.stderr)
        return int(broken > 0)

    def _write(
        self, folder: Path, i: int, file: Path, explainer: Explainer, x: np.ndarray
    ) -> None:
        """The page of one file."""
        page = report.Page(f"Why? {file.name}")
        rows = x[: self.rows] if x.ndim == 2 else x[None]
        for row, one in enumerate(rows, 1):
            name = f"{file}:{row}" if x.ndim == 2 else str(file)
            explain_input(page, explainer, name, one)
        if x.ndim == 2 and len(x) > len(rows):
            page.text(f"{len(x) - len(rows):,} more rows are left out; see `--rows`.")
        stem = re.sub(r"[^\w.-]+", "_", file.stem)[:60]
        path = folder / f"{i:03}_{stem}" / "report.html"
        path.parent.mkdir()
        page.write(path, footer=f"{explainer.trained.folder}, {training.hardware()}")
        page.text(f"page: {path}")
