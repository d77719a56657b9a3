"""Columns of a table: how their cells become numbers.

A column is a frozen record. It is stored with the weights of a trained network, so that
later tables are encoded in the same way.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from cnn_jax.data.cells import LARGEST, date, is_missing, number, parsed

RARE = "(rare)"


@dataclasses.dataclass(frozen=True)
class _OneColumn:
    """A column that stays one column when it is encoded."""

    scaled: ClassVar[bool] = True
    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the encoded columns."""
        return (self.name,)


@dataclasses.dataclass(frozen=True)
class NumberColumn(_OneColumn):
    """Numbers and amounts, such as `3.5`, `1,234.50`, `€ 12,50` and `12 %`.

    Args:
        name: The name of the column.
        decimal: The decimal mark, a point or a comma.
        missing: Further texts that stand for a missing value.

    Example:
        >>> NumberColumn("price", decimal=",").encode(["€ 12,50", "?"])
        array([[12.5],
               [ nan]])
    """

    kind: ClassVar[str] = "number"
    decimal: str = "."
    missing: tuple[str, ...] = ()

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Cells as numbers.

        Args:
            cells: The texts of a column.

        Returns:
            An array (rows, 1), NaN where a value is missing.

        Raises:
            ValueError: If a cell is something else; the message names it.
        """
        kind = "a number with decimal comma" if self.decimal == "," else "a number"
        return _encoded(self, cells, partial(number, decimal=self.decimal), kind)


@dataclasses.dataclass(frozen=True)
class DateColumn(_OneColumn):
    """Dates as days since 1970-01-01.

    Args:
        name: The name of the column.
        order: `YMD`, `DMY` or `MDY`; see `cells.date`.
        missing: Further texts that stand for a missing value.

    Example:
        >>> DateColumn("born", order="DMY").encode(["2.1.1970", "?"])
        array([[ 1.],
               [nan]])
    """

    kind: ClassVar[str] = "date"
    order: str = "YMD"
    missing: tuple[str, ...] = ()

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Cells as days.

        Args:
            cells: The texts of a column.

        Returns:
            An array (rows, 1), NaN where a value is missing.

        Raises:
            ValueError: If a cell is something else; the message names it.
        """
        words = {"Y": "year", "M": "month", "D": "day"}
        kind = f"a date ({', '.join(words[letter] for letter in self.order)})"
        return _encoded(self, cells, partial(date, order=self.order), kind)


@dataclasses.dataclass(frozen=True)
class BooleanColumn(_OneColumn):
    """Two words for true and false, as one column.

    Args:
        name: The name of the column.
        true: The word for true, in lower case.
        false: The word for false.

    Example:
        >>> BooleanColumn("sold", true="yes", false="no").encode(["Yes", "no", ""])
        array([[ 1.],
               [ 0.],
               [nan]])
    """

    kind: ClassVar[str] = "boolean"
    true: str
    false: str

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Cells as 1 and 0.

        Args:
            cells: The texts of a column.

        Returns:
            An array (rows, 1), NaN where a value is missing or another word.
        """
        values = {self.true: 1.0, self.false: 0.0}
        return parsed(cells, lambda cell: values.get(cell.lower(), np.nan))[:, None]


@dataclasses.dataclass(frozen=True)
class CategoryColumn:
    """Text, as a column of 0 and 1 for each value.

    Args:
        name: The name of the column.
        values: The values that have a column.
        rare: Whether there is one more column, for all other values.

    Example:
        >>> column = CategoryColumn("city", values=("Bonn", "Rome"), rare=True)
        >>> column.names
        ('city=Bonn', 'city=Rome', 'city=(rare)')
        >>> column.encode(["Rome", "Ulm", ""])
        array([[0., 1., 0.],
               [0., 0., 1.],
               [0., 0., 0.]])
    """

    kind: ClassVar[str] = "category"
    scaled: ClassVar[bool] = False
    name: str
    values: tuple[str, ...]
    rare: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the encoded columns."""
        values = (*self.values, RARE) if self.rare else self.values
        return tuple(f"{self.name}={value}" for value in values)

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Cells as 0 and 1.

        Args:
            cells: The texts of a column.

        Returns:
            An array (rows, values), with zeros for a missing value, and for an unknown
            one if there is no column for rare values.
        """
        known = {value: i for i, value in enumerate(self.values)}
        at = np.array([known.get(cell, len(known)) for cell in cells], np.int64)
        at[[is_missing(cell) for cell in cells]] = len(known) + 1
        return np.eye(len(known) + 2)[at][:, : len(self.names)]


Column = NumberColumn | DateColumn | BooleanColumn | CategoryColumn
COLUMNS: dict[str, Any] = {
    cls.kind: cls for cls in (NumberColumn, DateColumn, BooleanColumn, CategoryColumn)
}


def to_fields(column: Column) -> dict[str, Any]:
    """A column as JSON values.

    Example:
        >>> to_fields(DateColumn("born", order="DMY"))
        {'kind': 'date', 'name': 'born', 'order': 'DMY', 'missing': ()}
    """
    return {"kind": column.kind} | dataclasses.asdict(column)


def from_fields(fields: Mapping[str, Any] | str) -> Column:
    """The column from which `to_fields` made these values.

    A name alone, as in runs of earlier versions, is a column of numbers.

    Example:
        >>> from_fields("age")
        NumberColumn(name='age', decimal='.', missing=())
    """
    if isinstance(fields, str):
        return NumberColumn(fields)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    values.pop("kind")
    return COLUMNS[fields["kind"]](**values)


def _encoded(
    column: NumberColumn | DateColumn,
    cells: Sequence[str],
    read: Callable[[str], float],
    kind: str,
) -> np.ndarray:
    """Cells as one column of numbers; a cell that cannot be read is refused."""
    values = parsed(cells, read)
    for i in np.flatnonzero(~(np.abs(values) <= LARGEST)).tolist():
        cell = cells[i]
        if not is_missing(cell) and cell not in column.missing:
            large = np.isfinite(values[i])
            expected = f"a number up to {LARGEST:.2g}" if large else kind
            raise ValueError(
                f"column {column.name!r} has {cell!r} in row {i + 1}, where {expected} "
                "is expected; correct it, or do not use the column (`drop`)."
            )
    return values[:, None]
