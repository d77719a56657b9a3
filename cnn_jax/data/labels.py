"""The label column of a table: classes or a quantity."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn_jax.data.cells import LARGEST, is_missing
from cnn_jax.data.csv_file import Rows, quoted
from cnn_jax.data.recognise import as_quantity, decimal_of, is_identifier
from cnn_jax.data.spelling import alike, joined, meaning

MAX_CLASSES = 100
MIN_QUANTITIES = 10  # Rows, so that each split has some.


def read_labels(
    path: str | Path, rows: Rows, label: str | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the classes and the label of each row.

    A column of numbers with more than 100 different values, or one in three rows, is a
    quantity. Classes of one number, such as `1` and `1.0`, are joined.

    Args:
        path: The table, for messages.
        rows: Its cells.
        label: The name of the column.

    Returns:
        The classes in the order of their numbers or names, and indices into them; or
        the name of the column, and quantities in float32, of shape (rows, 1).

    Raises:
        ValueError: If there is no such column, it is empty in a row, constant, an
            identifier, or text with too many values.
    """
    cells = _cells(path, rows, label)
    classes = sorted(set(joined(cells).values()), key=_order)
    if len(classes) < 2:
        raise ValueError(f"column {label!r} of {path} is constant: {classes[0]!r}.")
    if len(classes) > max(2, min(MAX_CLASSES, len(cells) // 3)):
        _check_quantity(path, rows, str(label), cells)
        return (str(label),), quantities_of(path, rows, label)
    return tuple(classes), labels_of(path, rows, label, classes)


def labels_of(
    path: str | Path, rows: Rows, label: str | None, classes: Sequence[str]
) -> np.ndarray:
    """The class of each row.

    Args:
        path: The table, for messages.
        rows: Its cells.
        label: The column of classes.
        classes: The names of the classes.

    Returns:
        Indices into `classes`.

    Raises:
        ValueError: If there is no such column, or an unknown class.
    """
    rows.check(path, "label", label)
    values = rows.column(str(label))
    found = known_labels(values, classes)
    other = sorted({values[i] for i in np.flatnonzero(found < 0)})
    if other:
        raise ValueError(
            f"column {label!r} of {path} has {quoted(other[:5])}, but the classes are "
            f"{quoted(classes)}."
        )
    return found


def known_labels(values: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The class of each label, and −1 for one of no class.

    Args:
        values: Labels as text; a number may have any format.
        classes: The names of the classes.

    Example:
        >>> known_labels(["1.0", "2", "3"], ["1", "2"])
        array([ 0,  1, -1], dtype=int32)
    """
    number = {meaning(name): i for i, name in reversed([*enumerate(classes)])}
    number |= {name: i for i, name in enumerate(classes)}
    at = {v: number.get(v, number.get(meaning(v), -1)) for v in set(values)}
    return np.array([at[value] for value in values], np.int32)


def remarks_on_labels(rows: Rows, label: str) -> list[str]:
    """Remarks on classes that were joined, or look alike.

    Args:
        rows: The cells of a table.
        label: The column of classes.

    Returns:
        Which spellings of a number became one class, how many labels had outer spaces,
        and which classes differ in case or spaces only.
    """
    cells = rows.column(label)
    counts, became = Counter(cells), joined(cells)
    others = [text for text in sorted(counts) if became[text] != text]
    notes = []
    if others:
        notes.append(
            f"column {label!r} has the same number in several formats: "
            f"{sum(counts[text] for text in others):,} label(s) {quoted(others[:5])} "
            f"were joined with {quoted(sorted({became[t] for t in others})[:5])}"
        )
    spaced = rows.spaced.get(label, 0)
    if 0 < spaced < len(cells):  # In all of them, spaces are part of the delimiter.
        notes.append(
            f"column {label!r} has {spaced:,} label(s) with outer spaces, which were "
            "removed"
        )
    for group in alike(sorted(set(became.values()))):
        sizes = ", ".join(f"{name!r} ({counts[name]:,})" for name in group)
        notes.append(
            f"column {label!r} has classes that differ in case or spaces only: "
            f"{sizes}; they are different classes, unless you spell them alike"
        )
    return notes


def quantities_of(path: str | Path, rows: Rows, label: str | None) -> np.ndarray:
    """The quantity of each row.

    Args:
        path: The table, for messages.
        rows: Its cells.
        label: The column of quantities.

    Returns:
        An array (rows, 1) in float32.

    Raises:
        ValueError: If there is no such column, or a cell is missing or no number.
    """
    cells = _cells(path, rows, label)
    table = {name: rows.column(name) for name in rows.columns}
    values = as_quantity(cells, decimal=decimal_of(table))
    if values is None:
        raise ValueError(
            f"column {label!r} of {path} has cells that are no numbers, but a quantity "
            "is expected; correct them, or leave out their rows."
        )
    far = np.flatnonzero(np.abs(values) > LARGEST)
    if len(far):
        raise ValueError(
            f"column {label!r} of {path} has {cells[far[0]]!r} in row {far[0] + 1}, "
            f"which is beyond ±{LARGEST:.2g}, the largest number of a network; correct "
            "it, or leave out its row."
        )
    return values.astype(np.float32)[:, None]


def _cells(path: str | Path, rows: Rows, label: str | None) -> list[str]:
    """The cells of the label, none of them missing."""
    rows.check(path, "label", label)
    cells = rows.column(str(label))
    empty = [i for i, cell in enumerate(cells, 1) if is_missing(cell)]
    if empty:
        raise ValueError(
            f"column {label!r} is empty in {len(empty)} row(s) of {path}, the first of "
            f"them row {empty[0]}: a row without a label cannot be used."
        )
    return cells


def _check_quantity(
    path: str | Path, rows: Rows, label: str, cells: Sequence[str]
) -> None:
    """Refuses a label with many values that is no quantity."""
    if is_identifier(label, cells):
        raise ValueError(
            f"column {label!r} of {path} is an identifier, a different whole number in "
            "almost each row, from which nothing can be learned; choose another column "
            "as `label`."
        )
    table = {name: rows.column(name) for name in rows.columns}
    if as_quantity(cells, decimal=decimal_of(table)) is None:
        raise ValueError(
            f"column {label!r} of {path} has {len(set(cells))} different values in "
            f"{len(cells)} rows, some of them text: classes are expected, at most "
            f"{MAX_CLASSES} and each in at least three rows, or numbers; choose "
            "another column as `label`, or join rare classes."
        )
    if len(cells) < MIN_QUANTITIES:
        raise ValueError(
            f"{path} has {len(cells)} rows, but a quantity as `label` ({label!r}) "
            f"needs at least {MIN_QUANTITIES}."
        )


def strata(labels: np.ndarray) -> np.ndarray:
    """A class for each row by which a table is split.

    Args:
        labels: Class indices, or quantities of shape (rows, 1).

    Returns:
        The indices; of quantities up to ten groups of equal size, from low to high.

    Example:
        >>> strata(np.array([[3.0], [1.0], [2.0]] * 10))[:3]
        array([2, 0, 1])
    """
    if labels.ndim == 1:
        return labels
    groups = int(np.clip(len(labels) // 10, 1, 10))
    ranks = np.argsort(np.argsort(labels[:, 0], kind="stable"), kind="stable")
    return ranks * groups // len(labels)


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return math.inf, value
