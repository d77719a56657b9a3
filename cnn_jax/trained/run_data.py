"""The data of a run, as it was trained on them."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import data
from cnn_jax.data import Dataset, Split
from cnn_jax.data.dataset import Origin
from cnn_jax.data.files import check_broken, read_files
from cnn_jax.data.folder import BROKEN, labels_in, list_files, load_files
from cnn_jax.data.readers import AudioReader, Reader, from_fields
from cnn_jax.data.splits import with_validation
from cnn_jax.data.table import Table
from cnn_jax.data.table_file import fingerprints, read_rows
from cnn_jax.trained.find import REMEDY, find_files, find_rows
from cnn_jax.trained.metadata import Metadata, read_metadata
from cnn_jax.trained.splits import of_split, read_known


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
    path, reader = Path(about.data).expanduser(), from_fields(about.reader)
    if isinstance(reader, Table):
        parted, names = read_table(
            folder, about, reader, list(read_known(folder).names)
        )
        origin = Origin(reader, names)
        dataset = Dataset(**parted, classes=about.classes, origin=origin)
    elif path.is_dir():
        known, files = read_known(folder), list_files(path)
        found = find_files(folder, path, known, files, list(known.names))
        own = {name: files[name] for names in found.values() for name in names}
        dataset = load_files(path, own, found, reader)
    else:
        dataset = load_named(about, reader)
    dataset = with_validation(dataset, seed=about.seed)  # As in the training.
    if not isinstance(reader, Table) and not path.is_dir():
        check_named(folder, about, dataset.splits())
    return dataset


def read_table(
    folder: str | Path, about: Metadata, reader: Table, splits: Sequence[str]
) -> tuple[dict[str, Split], dict[str, tuple[str, ...]]]:
    """Some splits of the table of a run, and the present numbers of their rows.

    Args:
        folder: The run folder.
        about: Its metadata.
        reader: Its reader.
        splits: The splits that are needed.

    Returns:
        Arrays by split, and rows counted from 1.

    Raises:
        ValueError: If rows are gone or altered.
    """
    path, known = Path(about.data).expanduser(), read_known(folder)
    classes = about.classes if about.target is None else None
    rows = read_rows(path, reader=reader, label=about.label, classes=classes)
    found = find_rows(folder, path, known, fingerprints(**rows), splits)
    if classes is not None:
        _check_labels(path, about, rows["label"], found)
    parted = {
        split: {field: array[np.array(own)] for field, array in rows.items()}
        for split, own in found.items()
    }
    names = {s: tuple(str(row + 1) for row in own) for s, own in found.items()}
    return parted, names  # pyright: ignore[reportReturnType]


def _check_labels(
    path: Path, about: Metadata, labels: np.ndarray, found: Mapping[str, Sequence[int]]
) -> None:
    """Refuses rows whose label is none of the classes."""
    for split, rows in found.items():
        unknown = [row + 1 for row in rows if labels[row] < 0]
        if unknown:
            raise ValueError(
                f"{path}: {len(unknown):,} of {len(rows):,} rows of the {split} split "
                f"have a {about.label!r} that is none of the classes of the run, the "
                f"first of them row {unknown[0]}. {REMEDY}"
            )


def read_test_files(
    folder: str | Path, about: Metadata, reader: Reader, root: Path
) -> Split:
    """The test split of a run on a folder of files.

    Args:
        folder: The run folder.
        about: Its metadata.
        reader: Its reader.
        root: The folder of files.

    Raises:
        ValueError: If files are gone, altered or in another class, or broken.
    """
    files = list_files(root)
    (names,) = find_files(folder, root, read_known(folder), files, ["test"]).values()
    found = read_files(
        root, names, labels_in(root, names, files, about.classes), reader
    )
    check_broken(root, len(names), found.broken, BROKEN)
    return found.examples  # pyright: ignore[reportReturnType]


def check_named(folder: str | Path, about: Metadata, splits: Mapping[str, Any]) -> None:
    """Refuses splits of a named data set with other labels; warns of other inputs.

    Inputs may also differ because another version of a library decodes or resizes them.

    Args:
        folder: The run folder.
        about: Its metadata.
        splits: Splits as they are now.

    Raises:
        ValueError: If the labels of a split differ from those of the training.
    """
    exists = (Path(folder) / "splits.json").is_file()
    known = read_known(folder).fingerprints if exists else None
    if known is None:
        warnings.warn(
            f"{folder} has no fingerprints of {about.data}, as in runs of earlier "
            "versions: it is not checked whether the data have changed.",
            stacklevel=3,
        )
        return
    for name, split in splits.items():
        before, now = known.get(name, []), of_split(split)
        if before[:1] != now[:1]:
            raise ValueError(
                f"{about.data} has changed since the training of {folder}: the {name} "
                f"split has other labels, so that examples of the training may be in "
                f"its test. {REMEDY}"
            )
        if before != now:
            warnings.warn(
                f"the inputs of the {name} split of {about.data} are not exactly those "
                f"of the training of {folder}, as after an update of a library.",
                stacklevel=3,
            )


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
