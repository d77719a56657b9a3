"""CSV files: the cells of a table as text."""

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnn_jax.data.memory import check_memory, free_memory

CELLS = 10  # Bytes of a cell in memory for each byte in the file.


class Rows(NamedTuple):
    """The names of the columns of a file, and its cells as text.

    Args:
        columns: The names.
        cells: The cells of each row, without outer spaces.
        spaced: The number of cells that had some, by column.
    """

    columns: tuple[str, ...]
    cells: list[list[str]]
    spaced: Mapping[str, int]

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Args:
            name: One of `columns`.
        """
        at = self.columns.index(name)
        return [line[at] for line in self.cells]

    def check(self, path: str | Path, option: str, name: str | None) -> None:
        """Refuses the name of a column that the table does not have.

        Args:
            path: The file, for the message.
            option: The option that names the column.
            name: Its value.

        Raises:
            ValueError: If there is no such column; the message names similar ones.
        """
        if name in self.columns:
            return
        close = difflib.get_close_matches(str(name), self.columns) or self.columns
        fault = "is needed" if name is None else f"is {name!r}, which is missing"
        raise ValueError(f"`{option}` {fault}; {path} has the columns {quoted(close)}.")


def quoted(names: Sequence[str]) -> str:
    """Names in quotation marks, separated by commas, or `none`."""
    return ", ".join(map(repr, names)) if names else "none"


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
    check_memory(
        str(path),
        CELLS * Path(path).stat().st_size,
        "split it into smaller files",
        free=free_memory(),
    )
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
        raise ValueError(f"{path} has two columns called {twice[0]!r}; rename one.")
    for i, line in enumerate(rows, 1):
        if len(line) != len(columns):
            raise ValueError(
                f"{path} has {len(line)} cells in row {i}, but {len(columns)} columns."
            )
    cells = [[cell.strip() for cell in line] for line in rows]
    spaced = Counter(
        name
        for line, own in zip(rows, cells, strict=True)
        if line != own
        for name, before, after in zip(columns, line, own, strict=True)
        if before != after
    )
    return Rows(columns, cells, spaced)


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
