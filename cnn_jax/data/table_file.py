"""A CSV file as a data set: labels, splits, and remarks on them."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnn_jax.data import fingerprint
from cnn_jax.data.columns import Column
from cnn_jax.data.csv_file import Rows, quoted, read_csv
from cnn_jax.data.dataset import Dataset, Origin
from cnn_jax.data.identical import FEW, identities, remarks_on_identical
from cnn_jax.data.labels import (
    known_labels,
    quantities_of,
    read_labels,
    remarks_on_labels,
    strata,
)
from cnn_jax.data.recognise import identifiers, recognise
from cnn_jax.data.splits import split_rows
from cnn_jax.data.suspicious import copies_of_classes, copies_of_quantity, far_cells
from cnn_jax.data.table import Table, in_file

CONSTANT = 1e-12  # Largest range of a constant column, over max(1, |maximum|).


def load_table(
    path: str | Path,
    *,
    label: str | None,
    group: str | None = None,
    drop: Sequence[str] = (),
    seed: int = 0,
) -> Dataset:
    """Reads a CSV file with one row per example.

    Args:
        path: The file, with the names of its columns in the first line.
        label: The column of classes or of a quantity.
        group: A column; all rows with one of its values are in one split.
        drop: Columns that are not used.
        seed: Of the splits.

    Returns:
        Encoded columns, with classes in the order of their numbers or names, or with
        quantities as labels.

    Raises:
        ValueError: If it is no table, no column can be used, or the label is missing in
            a row, constant, an identifier, or text with too many values.
    """
    rows = read_csv(path)
    for name, value in ("label", label), ("group", group), *(("drop", d) for d in drop):
        if value is not None or name == "label":
            rows.check(path, name, value)
    sides = tuple(name for name in (label, group, *drop) if name)
    classes, labels = read_labels(path, rows, label)
    cells = {name: rows.column(name) for name in rows.columns if name not in sides}
    same = _identities(cells, labels)
    groups = None if group is None else rows.column(group)
    parts = _split(classes, labels, groups, same, seed)
    with in_file(path):
        reader, numbers, notes = _recognised(cells, parts["train"], sides)
        table = reader.standardise(numbers)
    notes += _remarks(rows, reader, numbers, str(label), labels, parts)
    notes += remarks_on_identical(
        same,
        parts,
        [f"row {i + 1}" for i in range(len(labels))],
        kind="rows",
        cause=FEW if group is None else "`group` decides",
        classes=[classes[i] for i in labels] if labels.ndim == 1 else None,
    )
    parted = {n: {"table": table[r], "label": labels[r]} for n, r in parts.items()}
    prints = {n: fingerprints(**split) for n, split in parted.items()}
    names = {n: tuple(str(row + 1) for row in r) for n, r in parts.items()}
    origin = Origin(reader, names, notes=tuple(notes), fingerprints=prints)
    return Dataset(**parted, classes=classes, origin=origin)


def fingerprints(table: np.ndarray, label: np.ndarray) -> tuple[str, ...]:
    """A digest of each row, as the network reads it, and its label.

    Rows that are the same for the network have the same digest, in any order of rows
    and columns and in any format of numbers.

    Args:
        table: Standardised columns.
        label: Class indices or quantities.
    """
    return fingerprint.of_rows(table + 0, label.astype(np.float32))  # −0 becomes 0.


def read_rows(
    path: str | Path,
    *,
    reader: Table,
    label: str | None,
    classes: Sequence[str] | None,
) -> dict[str, np.ndarray]:
    """All rows of a table, as an earlier run reads them.

    Args:
        path: A CSV file.
        reader: The reader of the run.
        label: The column of labels.
        classes: The names of the classes; None where the label is a quantity.

    Returns:
        `table` and `label`; the label is −1 where it is none of the classes.

    Raises:
        ValueError: If it is no table, has other columns, or cells that cannot be read.
    """
    rows = read_csv(path)
    if classes is None:
        labels = quantities_of(path, rows, label)
    else:
        rows.check(path, "label", label)
        labels = known_labels(rows.column(str(label)), classes)
    with in_file(path):
        return {"table": reader.fit(rows), "label": labels}


def cells_of(
    path: str | Path, *, label: str | None, drop: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The cells of a table as text, and the classes separately.

    Args:
        path: A CSV file.
        label: The column of classes.
        drop: Columns that are not used.

    Returns:
        Text of shape (rows, columns), the class of each row, and the names of columns.

    Raises:
        ValueError: If a column is missing, or the label is missing in a row, constant
            or a quantity.
    """
    rows = read_csv(path)
    for name, value in ("label", label), *(("drop", column) for column in drop):
        rows.check(path, name, value)
    classes, labels = read_labels(path, rows, label)
    if labels.ndim == 2:
        raise ValueError(
            f"column {label!r} of {path} is a quantity, but classes are expected; cut "
            "it into classes first, such as low, middle and high."
        )
    kept = [name for name in rows.columns if name not in (label, *drop)]
    for note in remarks_on_labels(rows, str(label)):
        warnings.warn(f"{note}.", stacklevel=2)
    cells = np.array([rows.column(name) for name in kept], object).T
    return cells, np.array(classes)[labels], kept


def _identities(cells: Mapping[str, Sequence[str]], labels: np.ndarray) -> np.ndarray:
    """A number for each row, equal where all cells but identifiers are equal.

    So must be a quantity: it may differ where a table has few columns.
    """
    unused = identifiers(cells)
    kept = [column for name, column in cells.items() if name not in unused]
    if not kept:
        return np.arange(len(labels))
    quantity = [labels[:, 0].tolist()] if labels.ndim == 2 else []
    return identities(zip(*kept, *quantity, strict=True))


def _split(
    classes: Sequence[str],
    labels: np.ndarray,
    groups: Sequence[str] | None,
    same: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """The rows of each split, stratified by class or by ranges of a quantity."""
    if labels.ndim == 1:
        by = np.array(classes)[labels]
    else:
        # Groups may leave no row of a range for training, which does not matter.
        by = strata(labels) if groups is None else np.zeros(len(labels), int)
    return split_rows(by, groups=groups, same=same, seed=seed)


def _recognised(
    cells: Mapping[str, Sequence[str]], train: np.ndarray, sides: tuple[str, ...]
) -> tuple[Table, np.ndarray, list[str]]:
    """A reader for these rows, their encoding, and remarks."""
    found = recognise(cells, train=train)
    columns, arrays, notes = [], [], list(found.notes)
    for column in found.columns:
        array = column.encode(cells[column.name])
        if _varies(array[train]):
            columns.append(column)
            arrays.append(array)
        else:
            notes.append(
                f"column {column.name!r} is constant or empty in the training rows, "
                "and is not used"
            )
    if not columns:
        more = f" that can be used: {'; '.join(notes)}" if notes else ""
        raise ValueError(f"it has no column besides {quoted(sides)}{more}.")
    numbers = np.concatenate(arrays, axis=1)
    used = {column.name for column in columns}
    unused = tuple(name for name in cells if name not in used)
    reader = Table(
        tuple(columns), *_statistics(columns, numbers[train]), sides + unused
    )
    return reader, numbers, notes


def _varies(numbers: np.ndarray) -> bool:
    """Whether one of some columns has different values, apart from missing ones."""
    present = np.isfinite(numbers)
    low = np.where(present, numbers, np.inf).min(axis=0)
    high = np.where(present, numbers, -np.inf).max(axis=0)
    return bool((high - low > CONSTANT * np.maximum(1, np.abs(high))).any())


def _statistics(
    columns: Sequence[Column], numbers: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and deviations without missing values; 0 and 1 for the columns of text."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(numbers)
    scaled = np.concatenate([[c.scaled] * len(c.names) for c in columns])
    means = np.where(scaled, np.asarray(scaler.mean_), 0.0)
    deviations = np.where(scaled, np.asarray(scaler.scale_), 1.0)
    return tuple(means.tolist()), tuple(deviations.tolist())


def _remarks(
    rows: Rows,
    reader: Table,
    numbers: np.ndarray,
    label: str,
    labels: np.ndarray,
    parts: Mapping[str, np.ndarray],
) -> list[str]:
    """Remarks on missing values, suspicious cells and columns, and labels."""
    notes = remarks_on_missing(reader.names, numbers)
    scaled = np.concatenate([[c.scaled] * len(c.names) for c in reader.columns])
    names = [n for n, one in zip(reader.names, scaled, strict=True) if one]
    notes += far_cells(names, numbers[:, scaled])
    if labels.ndim == 1:
        used = {c.name: rows.column(c.name) for c in reader.columns}
        notes += copies_of_classes(used, labels)
        return notes + remarks_on_labels(rows, label)
    notes += copies_of_quantity(names, numbers[:, scaled], labels[:, 0])
    return [*notes, _note_on_quantity(label, labels[parts["train"]])]


def remarks_on_missing(names: Sequence[str], numbers: np.ndarray) -> list[str]:
    """A remark on columns with missing values, and their number.

    Args:
        names: Of the encoded columns.
        numbers: The encoded columns, NaN where a value is missing.
    """
    missing = np.isnan(numbers).sum(axis=0)
    counts = [f"{n!r} ({c:,})" for n, c in zip(names, missing, strict=True) if c]
    if not counts:
        return []
    return [f"missing values became the mean of their column: {', '.join(counts)}"]


def _note_on_quantity(label: str, labels: np.ndarray) -> str:
    return (
        f"column {label!r} is a quantity from {labels.min():g} to {labels.max():g} in "
        f"the training rows, with mean {labels.mean():g}"
    )
