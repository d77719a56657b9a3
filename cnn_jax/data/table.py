"""Tables: CSV files with columns of numbers, dates and text, and a column of labels."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnn_jax.data.columns import Column, from_fields, to_fields
from cnn_jax.data.csv_file import Rows, quoted
from cnn_jax.data.csv_file import read_csv as read_csv

SUFFIXES = (".csv", ".tsv")


@dataclasses.dataclass(frozen=True)
class Table:
    """Encoded columns, standardised to mean 0 and standard deviation 1.

    A missing value becomes the mean, 0. Means and deviations are those of the training
    split. The columns of 0 and 1 of a text stay as they are.

    Args:
        columns: How the cells of each column become numbers, in order.
        means: The mean of each encoded column.
        deviations: The standard deviation of each.
        sides: Other columns of the table, which are not read: the label, identifiers
            and constant columns.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    sides: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the encoded columns."""
        return tuple(name for column in self.columns for name in column.names)

    @property
    def shape(self) -> tuple[int]:
        """The number of encoded columns."""
        return (len(self.means),)

    def read(self, path: str | Path) -> np.ndarray:
        """The rows of a CSV file.

        Args:
            path: The file; its columns may have any order.

        Returns:
            An array (rows, columns).

        Raises:
            ValueError: If it is no table, has other columns, or a cell of a column of
                numbers or dates is something else.
        """
        return self.fit(read_csv(path))

    def fit(self, rows: Rows) -> np.ndarray:
        """The rows of a table in memory, as `read` gives them."""
        return self.standardise(self.encode(rows))

    def encode(self, rows: Rows) -> np.ndarray:
        """The rows of a table in memory in float64, NaN where a value is missing."""
        own = [column.name for column in self.columns]
        lacks = [name for name in own if name not in rows.columns]
        more = [n for n in rows.columns if n not in (*own, *self.sides)]
        if lacks or more:
            raise ValueError(
                f"its columns differ: missing {quoted(lacks)}, "
                f"unexpected {quoted(more)}"
            )
        return encode(rows, self.columns)

    def standardise(self, numbers: np.ndarray) -> np.ndarray:
        """Encoded columns, NaN where a value is missing, as the network reads them."""
        with np.errstate(over="ignore"):
            scaled = (numbers - np.array(self.means)) / np.array(self.deviations)
            scaled = np.where(np.isnan(numbers), 0, scaled).astype(np.float32)
        if not np.isfinite(scaled).all():
            row, column = np.argwhere(~np.isfinite(scaled))[0]
            raise ValueError(
                f"column {self.names[column]!r} has {numbers[row, column]:g} in row "
                f"{row + 1}, too far from the mean of {self.means[column]:g} for a "
                f"deviation of {self.deviations[column]:g}; correct it, or leave its "
                "cell empty."
            )
        return scaled

    def to_fields(self) -> dict[str, Any]:
        """The table as JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {"columns": [to_fields(column) for column in self.columns]}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Table":
        """The table from which `to_fields` made these values."""
        columns = tuple(from_fields(column) for column in fields["columns"])
        rest = {k: tuple(v) for k, v in fields.items() if k != "columns"}
        return cls(columns, **rest)


def encode(rows: Rows, columns: Sequence[Column]) -> np.ndarray:
    """Cells as float64, NaN where a value is missing.

    Args:
        rows: The cells of a table.
        columns: The columns, in order.

    Returns:
        An array (rows, encoded columns).

    Raises:
        ValueError: If a cell does not belong to its column; the message names it.
    """
    encoded = [column.encode(rows.column(column.name)) for column in columns]
    return np.concatenate(encoded, axis=1)


@contextlib.contextmanager
def in_file(path: str | Path) -> Iterator[None]:
    """Puts the name of a file in front of the message of an error.

    Args:
        path: The file.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
