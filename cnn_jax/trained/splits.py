"""The splits of a run, in `splits.json`, and its broken files, in `broken.json`."""

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cnn_jax.data import Dataset
from cnn_jax.training.run_files import read_json, write_whole


class Splits(TypedDict):
    """What `splits.json` holds."""

    train: list[str]
    test: list[str]
    validation: NotRequired[list[str]]


def read_splits(folder: str | Path) -> Any:
    """The files or rows of each split of a run.

    Args:
        folder: The run folder.

    Raises:
        ValueError: If `splits.json` is not as it was written.
        FileNotFoundError: If there is none.
    """
    return read_json(Path(folder) / "splits.json", Splits)


def write_splits(folder: str | Path, dataset: Dataset) -> None:
    """Writes the files or rows of each split, and the broken files.

    Args:
        folder: The run folder.
        dataset: Its data; a named data set has no files, and nothing is written.
    """
    if dataset.origin is not None and dataset.origin.names:
        splits, broken = Path(folder) / "splits.json", Path(folder) / "broken.json"
        write_whole(splits, json.dumps(dataset.origin.names, indent=1))
        write_whole(broken, json.dumps(dataset.origin.broken, indent=1))
