"""Tables: CSV files whose columns are numbers, and one of them a class."""

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
MOST_CLASSES = 100
SUFFIXES = (".csv", ".tsv")


class Rows(NamedTuple):
    """What a file holds: a name for each column, and cells as they are written."""

    columns: tuple[str, ...]
    cells: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of numbers, each brought to mean 0 and standard deviation 1.

    A missing value becomes the mean, 0. Means and deviations are those of the rows that
    were learned from.

    Args:
        columns: Their names, in the order in which they are read.
        means: One for each.
        deviations: One for each; a column that never changes has 1.
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
            path: Of the file; its columns may come in any order.

        Returns:
            An array (rows, columns).

        Raises:
            ValueError: If it is no table, has other columns, or a cell is no number.
        """
        return self.fit(read_csv(path))

    def fit(self, rows: Rows) -> np.ndarray:
        """The rows of a table in memory, as `read` gives them."""
        lacks = [name for name in self.columns if name not in rows.columns]
        more = [n for n in rows.columns if n not in (*self.columns, *self.sides)]
        if lacks or more:
            raise ValueError(
                f"its columns differ: it lacks {_names(lacks)}, and has "
                f"{_names(more)} besides"
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
        path: Of the file, with the names of its columns in the first line.
        label: The column that is to be told from the others.
        group: A column whose values are kept apart: all rows of one are in one split.
        drop: Columns that are left out.
        seed: Of the splits.
        splits: Which rows are in which split, counted from 1, where it is known.

    Returns:
        Standardised numbers, with classes in the order of their numbers or names.

    Raises:
        ValueError: If it is no table, a column is not there or not of numbers, or the
            label is a quantity, is missing somewhere, or is always the same.
    """
    rows = read_csv(path)
    for name, value in ("label", label), ("group", group), *(("drop", d) for d in drop):
        if value is not None or name == "label":
            _check_column(path, rows, name, value)
    sides = tuple(name for name in (label, group, *drop) if name)
    columns = tuple(name for name in rows.columns if name not in sides)
    if not columns:
        raise ValueError(f"{path} has no column besides {_names(sides)}.")
    said = [row[rows.columns.index(str(label))] for row in rows.cells]
    classes = _classes(path, str(label), said)
    labels = labels_of(path, rows, label, classes)
    numbers = as_numbers(rows, columns)
    if splits is None:
        groups = None
        if group is not None:
            groups = [row[rows.columns.index(group)] for row in rows.cells]
        parts = split_rows(said, groups=groups, seed=seed)
    else:
        parts = {n: np.array([int(r) - 1 for r in s]) for n, s in splits.items()}
    reader = _standard(columns, numbers[parts["train"]], sides)
    table = reader.fit(rows)
    made = {n: {"table": table[r], "label": labels[r]} for n, r in parts.items()}
    names = {n: tuple(str(row + 1) for row in r) for n, r in parts.items()}
    origin = Origin(reader, names, notes=tuple(_notes(columns, numbers)))
    return Dataset(**made, classes=classes, origin=origin)


def columns_of(
    path: str | Path, *, label: str | None, drop: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The cells of a table as they are written, and the label apart.

    Args:
        path: Of a CSV file.
        label: The column that is to be told from the others.
        drop: Columns that are left out.

    Returns:
        Text of shape (rows, columns), the label of each row, and the columns' names.

    Raises:
        ValueError: If a column is not there, or the label is missing somewhere or a
            quantity.
    """
    rows = read_csv(path)
    for name, value in ("label", label), *(("drop", column) for column in drop):
        _check_column(path, rows, name, value)
    said = [row[rows.columns.index(str(label))] for row in rows.cells]
    _classes(path, str(label), said)
    kept = [name for name in rows.columns if name not in (label, *drop)]
    at = [rows.columns.index(name) for name in kept]
    cells = np.array([[row[i] for i in at] for row in rows.cells], object)
    return cells, np.array(said), kept


def read_csv(path: str | Path) -> Rows:
    """The cells of a CSV file, parted by commas, semicolons, tabs or bars.

    Args:
        path: Of the file, in UTF-8.

    Returns:
        The names in its first line, and the lines below.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text, has no rows, two columns of one name, or a line
            with more or fewer cells than there are names.
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
    # Strict: a quote that is never closed would take in all rows that follow.
    lines = csv.reader(stream, delimiter=_mark(text), strict=True)
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, len(text)))
    try:
        return list(lines)
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}.") from None
    finally:
        csv.field_size_limit(before)


def _mark(text: str) -> str:
    """The mark between the names in the first line, outside of quotes."""
    line = re.match(r'(?:"[^"]*"|[^"\r\n])*', text.lstrip("\r\n"))
    first = re.sub('"[^"]*"', "", line[0] if line else "")
    return max(",;\t|", key=first.count)


def as_numbers(rows: Rows, columns: Sequence[str]) -> np.ndarray:
    """Cells as float64, NaN where a value is missing.

    Args:
        rows: Of a table.
        columns: Which, and in which order.

    Returns:
        An array (rows, columns).

    Raises:
        ValueError: If a cell is no number; the message says which.
    """
    made = [_numbers(rows, name) for name in columns]
    return np.stack(made, axis=1)


def _numbers(rows: Rows, column: str) -> np.ndarray:
    at, found = rows.columns.index(column), np.empty(len(rows.cells))
    for i, line in enumerate(rows.cells):
        cell = line[at]
        try:
            found[i] = math.nan if cell.lower() in MISSING else float(cell)
        except ValueError:
            found[i] = math.inf
        if math.isinf(found[i]):
            raise ValueError(
                f"column {column!r} has {cell!r} in row {i + 1}, where a number is "
                "expected; write it as numbers, or leave the column out (`drop`)."
            )
    return found


def _check_column(path: str | Path, rows: Rows, name: str, value: str | None) -> None:
    if value in rows.columns:
        return
    close = difflib.get_close_matches(str(value), rows.columns) or rows.columns
    what = "is needed" if value is None else f"is {value!r}, which is not there"
    raise ValueError(f"`{name}` {what}; {path} has the columns {_names(close)}.")


def labels_of(
    path: str | Path, rows: Rows, label: str | None, classes: Sequence[str]
) -> np.ndarray:
    """The class of each row.

    Args:
        path: Of the table.
        rows: What it holds.
        label: The column with the classes.
        classes: Their names.

    Returns:
        Whole numbers that count into `classes`.

    Raises:
        ValueError: If there is no such column, or another class.
    """
    _check_column(path, rows, "label", label)
    said = [row[rows.columns.index(str(label))] for row in rows.cells]
    other = sorted(set(said) - set(classes))
    if other:
        raise ValueError(
            f"column {label!r} of {path} has {_names(other[:5])}, but the classes are "
            f"{_names(classes)}."
        )
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[value] for value in said], np.int32)


def _classes(path: str | Path, label: str, said: Sequence[str]) -> tuple[str, ...]:
    """The different labels, in the order of their numbers, or of the alphabet."""
    empty = [i for i, value in enumerate(said, 1) if value.lower() in MISSING]
    if empty:
        raise ValueError(
            f"column {label!r} is empty in {len(empty)} row(s) of {path}, the first of "
            f"them {empty[0]}: what has no label cannot be learned from."
        )
    classes = sorted(set(said), key=_order)
    if len(classes) < 2:
        raise ValueError(f"column {label!r} is always {classes[0]!r}: nothing to tell.")
    if len(classes) > max(2, min(MOST_CLASSES, len(said) // 3)):
        raise ValueError(
            f"column {label!r} has {len(classes)} different values in {len(said)} "
            "rows: that is a quantity or a name, but classes are expected, each in "
            f"three rows at least and {MOST_CLASSES} of them at most."
        )
    return tuple(classes)


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _standard(
    columns: tuple[str, ...], numbers: np.ndarray, sides: tuple[str, ...]
) -> Table:
    """Learns means and deviations from the rows that are learned from."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, numbers, 0)
    means = filled.sum(axis=0) / count
    squares = np.where(known, (filled - means) ** 2, 0).sum(axis=0) / count
    deviations = np.sqrt(squares)
    constant = deviations <= 1e-12 * np.maximum(1, np.abs(means))
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
            yield f"column {name!r} is always the same and says nothing"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) if names else "none"
