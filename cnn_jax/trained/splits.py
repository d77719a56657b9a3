"""The splits of a run, in `splits.json`, and its broken files, in `broken.json`."""

import json
from pathlib import Path

from cnn_jax.data import Dataset


def read_splits(folder: str | Path) -> dict[str, list[str]]:
    """The files or rows of each split of a run."""
    return json.loads((Path(folder) / "splits.json").read_text())


def write_splits(folder: str | Path, dataset: Dataset) -> None:
    """Writes the files or rows of each split, and the broken files.

    Args:
        folder: The run folder.
        dataset: Its data; a named data set has no files, and nothing is written.
    """
    if dataset.origin is not None and dataset.origin.names:
        splits, broken = Path(folder) / "splits.json", Path(folder) / "broken.json"
        splits.write_text(json.dumps(dataset.origin.names, indent=1))
        broken.write_text(json.dumps(dataset.origin.broken, indent=1))
