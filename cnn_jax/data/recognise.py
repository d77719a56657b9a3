"""The kind of each column of a table, recognised from its cells."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from cnn_jax.data.cells import ORDERS, date, is_missing, number, parsed
from cnn_jax.data.columns import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
)

READABLE = 0.9  # The fraction of cells that make a column one of numbers or dates.
MANY = 20  # Different numbers from which other texts among them count as missing.
MIN_ROWS = 10  # Training rows of a value with its own column; in small tables
ROWS_PER_MIN_ROW = 30  # as many as there are training rows over this, at least 2.
MAX_VALUES = 50  # The most frequent values have their own columns.
DIFFERENT = 0.95  # The fraction of different values that makes an identifier.
COUNTED = 100  # Rows from which numbers without gaps are a row or customer number.
ID = re.compile(
    r"(?:^|[\W_])(?:id|nr|no|index|idx|key|uuid|number|row)$|^$|nummer$|^unnamed"
)
BOOLEANS = (
    ("yes", "no"),
    ("true", "false"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("wahr", "falsch"),
    ("oui", "non"),
)


@dataclasses.dataclass(frozen=True)
class Recognised:
    """The columns of a table that are used, and those that are not.

    Args:
        columns: How cells become numbers, in the order of the table.
        unused: The names of identifiers and of text without repeated values.
        notes: Remarks for the user.
    """

    columns: tuple[Column, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]


def recognise(
    table: Mapping[str, Sequence[str]],
    *,
    train: np.ndarray | None = None,
    decimal: str | None = None,
) -> Recognised:
    """Recognises the kind of each column.

    Numbers, amounts, dates and pairs such as `yes` and `no` become one column each, any
    other text one column for each value. Values in few training rows share one column.
    Identifiers, whose values are almost all different, are not used.

    Args:
        table: The cells of each column by its name.
        train: The rows from which values are counted; by default all.
        decimal: The decimal mark where cells fit both; by default `decimal_of`.

    Returns:
        The columns and remarks on them.

    Example:
        >>> table = {"age": ["31", "44", "?"], "town": ["Ulm", "Ulm", "Bonn"]}
        >>> recognise(table).columns[1]
        CategoryColumn(name='town', values=('Ulm',), rare=False)
    """
    decimal = decimal or decimal_of(table)
    columns, unused, notes = [], [], []
    count = len(next(iter(table.values()), ()))
    rows = range(count) if train is None else train.tolist()
    for name, cells in table.items():
        counted = [cells[i] for i in rows]
        column, note = _column(name, cells, counted, decimal)
        if column is None:
            unused.append(name)
        else:
            columns.append(column)
        notes += [note] if note else []
    return Recognised(tuple(columns), tuple(unused), tuple(notes))


def decimal_of(table: Mapping[str, Sequence[str]]) -> str:
    """The decimal mark of a table: a comma if a column is of numbers with it alone.

    Args:
        table: The cells of each column by its name.

    Example:
        >>> decimal_of({"a": ["1.234", "5"], "b": ["0,5", "12"]})
        ','
    """
    for cells in table.values():
        present = [cell for cell in cells if not is_missing(cell)]
        if any("," in cell for cell in present):
            point, comma = (_readable(present, number, mark) for mark in ".,")
            if comma > point and comma >= READABLE:
                return ","
    return "."


def as_quantity(cells: Sequence[str], *, decimal: str) -> np.ndarray | None:
    """Cells as numbers, or None where one of them is something else.

    Args:
        cells: Texts without missing values.
        decimal: The decimal mark where cells fit both.

    Example:
        >>> as_quantity(["€ 3", "€ 4.50"], decimal=".")
        array([3. , 4.5])
    """
    for mark in dict.fromkeys((decimal, ".", ",")):
        values = parsed(cells, partial(number, decimal=mark))
        if np.isfinite(values).all():
            return values
    return None


def is_identifier(name: str, cells: Sequence[str]) -> bool:
    """Whether a column of whole numbers is one of row or customer numbers.

    Almost all of them are different, and they have no gaps or the column is called so.

    Args:
        name: The name of the column.
        cells: Its texts, without missing values.

    Example:
        >>> is_identifier("customerId", [str(7 * i) for i in range(30)])
        True
        >>> is_identifier("area", [str(7 * i) for i in range(30)])
        False
    """
    distinct = set(cells)
    if len(cells) < MANY or len(distinct) < DIFFERENT * len(cells):
        return False
    if not all(re.fullmatch(r"\d{1,18}", cell) for cell in distinct):
        return False
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip()
    if ID.search(snake):
        return True
    numbers = sorted(map(int, distinct))
    gaps = numbers[-1] - numbers[0] + 1 > len(numbers) / DIFFERENT
    return not gaps and len(cells) >= COUNTED


def identifiers(table: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The columns whose values tell rows apart and say nothing else.

    Args:
        table: The cells of each column by its name.

    Returns:
        The names of row and customer numbers, and of text without repeated values.

    Example:
        >>> cells = [str(i) for i in range(100)]
        >>> identifiers({"id": cells, "age": cells[:50] * 2})
        ('id',)
    """
    different = [
        name
        for name, cells in table.items()
        if len(set(cells)) >= DIFFERENT * sum(not is_missing(c) for c in cells)
    ]
    decimal = decimal_of(table) if different else "."
    read = {n: _column(n, table[n], table[n], decimal) for n in different}
    return tuple(name for name, (column, _) in read.items() if column is None)


def _column(
    name: str, cells: Sequence[str], counted: Sequence[str], decimal: str
) -> tuple[Column | None, str]:
    """The column and a remark on it; None if it is not used."""
    present = [cell for cell in cells if not is_missing(cell)]
    if not present:
        return NumberColumn(name), ""
    lower = {cell.lower() for cell in present}
    for true, false in BOOLEANS:
        if lower == {true, false}:
            note = f"column {name!r} became 1 for {true!r} and 0 for {false!r}"
            return BooleanColumn(name, true, false), note
    if not _codes(present):
        if is_identifier(name, present):
            return None, (
                f"column {name!r} is an identifier, a different whole number in almost "
                "each row, and is not used"
            )
        found = _number_column(name, present, decimal) or _date_column(name, present)
        if found is not None:
            return found
    return _category_column(name, present, counted)


def _codes(cells: Sequence[str]) -> bool:
    """Whether cells are codes with leading zeros, such as postal codes."""
    if not any(re.fullmatch(r"0\d{3,}", cell) for cell in cells):
        return False
    return len({len(cell) for cell in cells}) == 1


def _readable(
    cells: Sequence[str], read: Callable[[str, str], float], option: str
) -> float:
    """The fraction of cells that can be read."""
    values = parsed(cells, lambda cell: read(cell, option))
    return 1 - float(np.isnan(values).mean())


def _mark_of(cells: Sequence[str], decimal: str) -> str:
    """The decimal mark with which most cells are numbers."""
    readable: dict[str, float] = {}
    for mark in dict.fromkeys((decimal, ".", ",")):
        readable[mark] = _readable(cells, number, mark)
        if readable[mark] == 1:  # No other mark reads more, and reading takes time.
            break
    return max(readable, key=readable.__getitem__)


def _number_column(
    name: str, cells: Sequence[str], decimal: str
) -> tuple[Column, str] | None:
    mark = _mark_of(cells, decimal)
    values = parsed(cells, partial(number, decimal=mark))
    bad = [c for c, value in zip(cells, values, strict=True) if np.isnan(value)]
    few = len(set(values[~np.isnan(values)].tolist())) <= MANY
    if len(bad) > (1 - READABLE) * len(cells) or (bad and few):
        return None
    plain = re.compile(r"[+-]?[\d.e+-]+|[+-]?inf(inity)?", re.IGNORECASE)
    odd = next((c for c in cells if c not in bad and not plain.fullmatch(c)), None)
    note = _as_missing(name, bad, "number")
    if odd is not None:
        about = f"column {name!r} has amounts such as {odd!r}, which became numbers"
        note = f"{about}; {note}" if note else about
    return NumberColumn(name, mark, tuple(sorted(set(bad)))), note


def _date_column(name: str, cells: Sequence[str]) -> tuple[Column, str] | None:
    readable = {order: _readable(cells, date, order) for order in ORDERS}
    order = max(ORDERS, key=readable.__getitem__)
    if readable[order] < READABLE:
        return None
    values = parsed(cells, partial(date, order=order))
    bad = [c for c, value in zip(cells, values, strict=True) if np.isnan(value)]
    note = f"column {name!r} has dates, which became days"
    if order == "DMY" and readable["MDY"] == readable["DMY"]:
        note += "; its days and months look alike and were read as day, month, year"
    if bad:
        note += f"; {_as_missing(name, bad, 'date')}"
    return DateColumn(name, order, tuple(sorted(set(bad)))), note


def _as_missing(name: str, bad: Sequence[str], kind: str) -> str:
    if not bad:
        return ""
    return (
        f"column {name!r} has {len(bad):,} cell(s) that are no {kind}, such as "
        f"{bad[0]!r}, which count as missing; correct them if they are not"
    )


def _category_column(
    name: str, cells: Sequence[str], counted: Sequence[str]
) -> tuple[Column | None, str]:
    distinct = len(set(cells))
    counts = Counter(cell for cell in counted if not is_missing(cell))
    minimum = int(np.clip(len(counted) // ROWS_PER_MIN_ROW, 2, MIN_ROWS))
    kept = [v for v, n in counts.most_common(MAX_VALUES) if n >= minimum]
    others = counts.total() - sum(counts[value] for value in kept)
    if distinct >= DIFFERENT * len(cells) and distinct > 2:
        return None, (
            f"column {name!r} is an identifier, with {distinct:,} different texts in "
            f"{len(cells):,} rows, and is not used"
        )
    if not kept:
        return None, (
            f"column {name!r} is text without a value in at least {minimum} training "
            "rows, and is not used"
        )
    column = CategoryColumn(name, tuple(sorted(kept)), others >= minimum)
    note = f"column {name!r} is text and became a column for each value"
    if distinct > len(kept):
        rest = "one for the others" if column.rare else "zeros for the others"
        note = (
            f"column {name!r} is text and became a column for each of {len(kept)} "
            f"values in at least {minimum} training rows, and {rest} "
            f"({distinct - len(kept):,} values)"
        )
    return column, note
