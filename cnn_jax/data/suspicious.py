"""Columns of a table that are likely mistakes: copies of the label, far cells."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.data.cells import is_missing
from cnn_jax.data.spelling import joined

PRESENT = 0.5  # The fraction of cells from which a column is compared with the label.
COPY = 1e-6  # The largest 1 − r² of a column that is the label in another unit.
FAR = 1e-4  # The spread of nearly all cells over that of all, below which one is far.
FEW = 0.01  # The fraction of cells that are not "nearly all".


def copies_of_classes(
    table: Mapping[str, Sequence[str]], labels: np.ndarray
) -> list[str]:
    """Remarks on columns that have one value for each class.

    Args:
        table: The cells of each column by its name.
        labels: The class of each row.

    Example:
        >>> copies_of_classes({"code": ["A", "B", "B"]}, np.array([0, 1, 1]))[0][:40]
        "column 'code' has one value for each cla"
    """
    count = len(set(labels.tolist()))
    return [
        f"column {name!r} has one value for each class: it is the label by another "
        "name, unless it is known before the label; otherwise leave it out (`--drop "
        f"{name}`)"
        for name, cells in table.items()
        if len(set(cells)) <= 4 * count and _is_copy(cells, labels, count)
    ]


def _is_copy(cells: Sequence[str], labels: np.ndarray, count: int) -> bool:
    """Whether values and classes belong together one by one."""
    value = joined(cells)
    known = [
        (value[cell], label)
        for cell, label in zip(cells, labels.tolist(), strict=True)
        if not is_missing(cell)
    ]
    pairs = set(known)
    values, classes = {cell for cell, _ in pairs}, {label for _, label in pairs}
    one = len(pairs) == len(values) == len(classes) == count
    return one and len(known) >= PRESENT * len(cells)


def copies_of_quantity(
    names: Sequence[str], numbers: np.ndarray, quantity: np.ndarray
) -> list[str]:
    """Remarks on columns that are the label times a factor plus a constant.

    Args:
        names: Of the encoded columns.
        numbers: The encoded columns, NaN where a value is missing.
        quantity: The label of each row.

    Example:
        >>> rows = np.arange(9.0)
        >>> copies_of_quantity(["cents"], 100 * rows[:, None], rows)[0][:40]
        "column 'cents' is the label in another u"
    """
    return [
        f"column {name!r} is the label in another unit, unless it is known before it; "
        f"otherwise leave it out (`--drop {name}`)"
        for name, column in zip(names, numbers.T, strict=True)
        if _is_linear(column, quantity.astype(np.float64))
    ]


def _is_linear(column: np.ndarray, quantity: np.ndarray) -> bool:
    present = np.isfinite(column)
    if present.sum() < max(3, PRESENT * len(column)):
        return False
    x, y = column[present], quantity[present]
    if not x.std() or not y.std():
        return False
    return bool(1 - np.corrcoef(x, y)[0, 1] ** 2 < COPY)


def far_cells(names: Sequence[str], numbers: np.ndarray) -> list[str]:
    """Remarks on numbers so far from all others that these become nearly equal.

    Args:
        names: Of the encoded columns.
        numbers: The encoded columns, NaN where a value is missing.

    Example:
        >>> cells = np.array([*range(99), 1e9])
        >>> far_cells(["age"], cells[:, None])[0][:35]
        "column 'age' has 1e+09 in row 100, "
    """
    return [
        note
        for name, column in zip(names, numbers.T, strict=True)
        for note in _far(name, column)
    ]


def _far(name: str, column: np.ndarray) -> list[str]:
    rows = np.flatnonzero(np.isfinite(column))
    if not len(rows):
        return []
    distance = np.abs(column[rows] - np.median(column[rows]))
    few = max(1, int(FEW * len(rows)))
    order = np.argsort(distance, kind="stable")
    rest = column[rows[order[:-few]]]
    if len(rest) < 2 or not 0 < rest.std() < FAR * column[rows].std():
        return []
    row = rows[order[-1]]
    return [
        f"column {name!r} has {column[row]:g} in row {row + 1}, so far from the others "
        f"({rest.min():g} to {rest.max():g}) that they become nearly equal; correct "
        "it, or leave its cell empty"
    ]
