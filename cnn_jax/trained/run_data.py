"""The data of a run, as it was trained on them."""

from pathlib import Path
from typing import Any

from cnn_jax import data
from cnn_jax.data import Dataset
from cnn_jax.data.folder import load_folder
from cnn_jax.data.readers import AudioReader, Reader, from_fields
from cnn_jax.data.splits import with_validation
from cnn_jax.data.table import Table, load_table
from cnn_jax.trained.metadata import Metadata, read_metadata
from cnn_jax.trained.splits import read_splits


def load_data(folder: str | Path) -> Dataset:
    """The data of a run, in its splits.

    Args:
        folder: The run folder.

    Returns:
        The data set.

    Raises:
        ValueError: If files are missing, or the data have changed.
    """
    about = read_metadata(folder)
    path, reader = Path(about.data), from_fields(about.reader)
    if isinstance(reader, Table):
        splits: Any = read_splits(folder)
        dataset = load_table(path, label=about.label, splits=splits, reader=reader)
    elif path.is_dir():
        dataset = load_folder(path, reader=reader, splits=read_splits(folder))
    else:
        dataset = load_named(about, reader)
    return with_validation(dataset, seed=about.seed)  # As in the training.


def load_named(about: Metadata, reader: Reader, name: str | None = None) -> Dataset:
    """A named data set, read as the run read its own.

    Args:
        about: The metadata of the run.
        reader: Its reader.
        name: Another data set; by default that of the run.

    Returns:
        The data set.
    """
    if isinstance(reader, AudioReader):
        form: Any = {"rate": reader.rate, "seconds": reader.samples / reader.rate}
    else:
        form = {"size": reader.shape[0]}
    return data.load(
        name or about.data, seed=about.seed, data_dir=about.data_dir, **form
    )
