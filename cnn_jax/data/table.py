"""Tables: CSV files with columns of numbers and a column of classes."""

import csv
import dataclasses
import difflib
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from cnn_jax.data.dataset import Dataset, Origin
from cnn_jax.data.splits import split_rows

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
MAX_CLASSES = 100
CONSTANT = 1e-12  # Largest deviation of a constant column, over max(1, |mean|).
SUFFIXES = (".csv", ".tsv")


class Rows(NamedTuple):
    """The names of the columns of a file, and its cells as text."""

    columns: tuple[str, ...]
    cells: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of numbers, standardised to mean 0 and standard deviation 1.

    A missing value becomes the mean, 0. Means and deviations are those of the training
    split.

    Args:
        columns: The names of the columns, in the order in which they are read.
        means: The mean of each column.
        deviations: The standard deviation of each; 1 for a constant column.
        sides: Other columns of the table, such as the label, which are not read.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    sides: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int]:
        """The number of columns."""
        return (len(self.columns),)

    def read(self, path: str | Path) -> np.ndarray:
        """The rows of a CSV file.

        Args:
            path: The file; its columns may have any order.

        Returns:
            An array (rows, columns).

        Raises:
            ValueError: If it is no table, has other columns, or a cell is not a number.
        """
        return self.fit(read_csv(path))

    def fit(self, rows: Rows) -> np.ndarray:
        """The rows of a table in memory, as `read` gives them."""
        lacks = [name for name in self.columns if name not in rows.columns]
        more = [n for n in rows.columns if n not in (*self.columns, *self.sides)]
        if lacks or more:
            raise ValueError(
                f"its columns differ: missing {_names(lacks)}, "
                f"unexpected {_names(more)}"
            )
        numbers = as_numbers(rows, self.columns)
        scaled = (numbers - np.array(self.means)) / np.array(self.deviations)
        return np.where(np.isnan(numbers), 0, scaled).astype(np.float32)


def load_table(
    path: str | Path,
    *,
    label: str | None,
    group: str | None = None,
    drop: Sequence[str] = (),
    seed: int = 0,
    splits: dict[str, Sequence[str]] | None = None,
) -> Dataset:
    """Reads a CSV file with one row per example.

    Args:
        path: The file, with the names of its columns in the first line.
        label: The column of classes.
        group: A column; all rows with one of its values are in one split.
        drop: Columns that are not used.
        seed: Of the splits.
        splits: The rows of each split, counted from 1, where they are known.

    Returns:
        Standardised numbers, with classes in the order of their numbers or names.

    Raises:
        ValueError: If it is no table, a column is missing or not of numbers, or the
            label is a quantity, is missing in a row, or is constant.
    """
    rows = read_csv(path)
    for name, value in ("label", label), ("group", group), *(("drop", d) for d in drop):
        if value is not None or name == "label":
            _check_column(path, rows, name, value)
    sides = tuple(name for name in (label, group, *drop) if name)
    columns = tuple(name for name in rows.columns if name not in sides)
    if not columns:
        raise ValueError(f"{path} has no column besides {_names(sides)}.")
    values = [row[rows.columns.index(str(label))] for row in rows.cells]
    classes = _classes(path, str(label), values)
    labels = labels_of(path, rows, label, classes)
    numbers = as_numbers(rows, columns)
    if splits is None:
        groups = None
        if group is not None:
            groups = [row[rows.columns.index(group)] for row in rows.cells]
        parts = split_rows(values, groups=groups, seed=seed)
    else:
        parts = {n: np.array([int(r) - 1 for r in s]) for n, s in splits.items()}
    reader = _standardised(columns, numbers[parts["train"]], sides)
    table = reader.fit(rows)
    parted = {n: {"table": table[r], "label": labels[r]} for n, r in parts.items()}
    names = {n: tuple(str(row + 1) for row in r) for n, r in parts.items()}
    origin = Origin(reader, names, notes=tuple(_notes(columns, numbers)))
    return Dataset(**parted, classes=classes, origin=origin)


def columns_of(
    path: str | Path, *, label: str | None, drop: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The cells of a table as text, and the label separately.

    Args:
        path: A CSV file.
        label: The column of classes.
        drop: Columns that are not used.

    Returns:
        Text of shape (rows, columns), the label of each row, and the names of columns.

    Raises:
        ValueError: If a column is missing, or the label is missing in a row or a
            quantity.
    """
    rows = read_csv(path)
    for name, value in ("label", label), *(("drop", column) for column in drop):
        _check_column(path, rows, name, value)
    values = [row[rows.columns.index(str(label))] for row in rows.cells]
    _classes(path, str(label), values)
    kept = [name for name in rows.columns if name not in (label, *drop)]
    at = [rows.columns.index(name) for name in kept]
    cells = np.array([[row[i] for i in at] for row in rows.cells], object)
    return cells, np.array(values), kept


def read_csv(path: str | Path) -> Rows:
    """Reads a CSV file whose cells are separated by commas, semicolons, tabs or bars.

    Args:
        path: The file, in UTF-8.

    Returns:
        The names in its first line, and the lines below.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text, has no rows, has two columns of one name, or a
            line with more or fewer cells than names.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not a CSV file.")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a CSV file in UTF-8.") from None
    lines = [line for line in _parsed(path, text) if line]
    if len(lines) < 2:
        raise ValueError(f"{path} has {len(lines)} line(s), but needs names and rows.")
    names, *rows = lines
    columns = tuple(name.strip() for name in names)
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two columns called {twice[0]!r}.")
    for i, line in enumerate(rows, 1):
        if len(line) != len(columns):
            raise ValueError(
                f"{path} has {len(line)} cells in row {i}, but {len(columns)} columns."
            )
    return Rows(columns, [[cell.strip() for cell in line] for line in rows])


def _parsed(path: str | Path, text: str) -> list[list[str]]:
    """The cells of each line; a cell may be long, and hold line breaks of any kind."""
    stream = io.StringIO(text, newline="")
    # Strict, because an unclosed quote would swallow all rows that follow.
    lines = csv.reader(stream, delimiter=_delimiter(text), strict=True)
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, len(text)))
    try:
        return list(lines)
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}.") from None
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """The delimiter in the first line, outside of quotes."""
    line = re.match(r'(?:"[^"]*"|[^"\r\n])*', text.lstrip("\r\n"))
    first = re.sub('"[^"]*"', "", line[0] if line else "")
    return max(",;\t|", key=first.count)


def as_numbers(rows: Rows, columns: Sequence[str]) -> np.ndarray:
    """Cells as float64, NaN where a value is missing.

    Args:
        rows: The cells of a table.
        columns: The columns, in order.

    Returns:
        An array (rows, columns).

    Raises:
        ValueError: If a cell is not a number; the message names it.
    """
    return np.stack([_numbers(rows, name) for name in columns], axis=1)


def _numbers(rows: Rows, column: str) -> np.ndarray:
    at, numbers = rows.columns.index(column), np.empty(len(rows.cells))
    for i, line in enumerate(rows.cells):
        cell = line[at]
        try:
            numbers[i] = math.nan if cell.lower() in MISSING else float(cell)
        except ValueError:
            numbers[i] = math.inf
        if math.isinf(numbers[i]):
            raise ValueError(
                f"column {column!r} has {cell!r} in row {i + 1}, where a number is "
                "expected; write it as numbers, or do not use the column (`drop`)."
            )
    return numbers


def _check_column(path: str | Path, rows: Rows, name: str, value: str | None) -> None:
    if value in rows.columns:
        return
    close = difflib.get_close_matches(str(value), rows.columns) or rows.columns
    fault = "is needed" if value is None else f"is {value!r}, which is missing"
    raise ValueError(f"`{name}` {fault}; {path} has the columns {_names(close)}.")


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
    _check_column(path, rows, "label", label)
    values = [row[rows.columns.index(str(label))] for row in rows.cells]
    other = sorted(set(values) - set(classes))
    if other:
        raise ValueError(
            f"column {label!r} of {path} has {_names(other[:5])}, but the classes are "
            f"{_names(classes)}."
        )
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[value] for value in values], np.int32)


def _classes(path: str | Path, label: str, values: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels, ordered as numbers or alphabetically."""
    empty = [i for i, value in enumerate(values, 1) if value.lower() in MISSING]
    if empty:
        raise ValueError(
            f"column {label!r} is empty in {len(empty)} row(s) of {path}, the first of "
            f"them row {empty[0]}: a row without a label cannot be used."
        )
    classes = sorted(set(values), key=_order)
    if len(classes) < 2:
        raise ValueError(f"column {label!r} is constant: {classes[0]!r}.")
    if len(classes) > max(2, min(MAX_CLASSES, len(values) // 3)):
        raise ValueError(
            f"column {label!r} has {len(classes)} different values in {len(values)} "
            "rows: that is a quantity or a name, but classes are expected, at most "
            f"{MAX_CLASSES} and each in at least three rows."
        )
    return tuple(classes)


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _standardised(
    columns: tuple[str, ...], numbers: np.ndarray, sides: tuple[str, ...]
) -> Table:
    """The means and deviations of the training rows, without missing values."""
    from sklearn.preprocessing import StandardScaler

    empty = np.isnan(numbers).all(axis=0)
    scaler = StandardScaler().fit(np.where(empty, 0.0, numbers))
    means, deviations = np.asarray(scaler.mean_), np.asarray(scaler.scale_)
    constant = deviations <= CONSTANT * np.maximum(1, np.abs(means))
    deviations = np.where(constant, 1.0, deviations)
    return Table(columns, tuple(means.tolist()), tuple(deviations.tolist()), sides)


def _notes(columns: Sequence[str], numbers: np.ndarray) -> Iterator[str]:
    missing = np.isnan(numbers).sum(axis=0)
    counts = [f"{n!r} ({c:,})" for n, c in zip(columns, missing, strict=True) if c]
    if counts:
        yield f"missing values became the mean of their column: {', '.join(counts)}"
    low = np.where(np.isnan(numbers), np.inf, numbers).min(axis=0)
    high = np.where(np.isnan(numbers), -np.inf, numbers).max(axis=0)
    for name, differs in zip(columns, low < high, strict=True):
        if not differs:
            yield f"column {name!r} is constant"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) if names else "none"
