"""Readers from `config.json` of a run, every field of them checked."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.data.columns import COLUMNS
from cnn_jax.data.readers import READERS, Reader, from_fields
from cnn_jax.data.table import Table, in_file
from cnn_jax.training.run_files import checked_fields


def read_reader(name: str, written: Mapping[str, Any]) -> Reader:
    """A reader from JSON values.

    Args:
        name: The file and the field, for messages.
        written: What `data.readers.to_fields` made.

    Returns:
        The reader.

    Raises:
        ValueError: If its kind is unknown, or a field is missing, unknown or of another
            type or value; the message names it.

    Example:
        >>> read_reader("config.json: `reader`", {"kind": "signal", "rate": 8000})
        Traceback (most recent call last):
        ...
        ValueError: config.json: `reader` lacks the field(s) samples.
    """
    kind, fields = _kind(name, written, READERS)
    if kind is Table:
        columns = fields.get("columns")
        checked_fields(name, kind, fields, more={"columns": list[dict[str, Any] | str]})
        for i, column in enumerate(columns if isinstance(columns, list) else ()):
            if not isinstance(column, str):  # A name alone, in earlier versions.
                own = f"{name}: `columns`[{i}]"
                checked_fields(own, *_kind(own, column, COLUMNS), more={})
    else:
        checked_fields(name, kind, fields, more={})
    with in_file(name):
        reader = from_fields(written)
    if isinstance(reader, Table):
        _check_statistics(name, reader)
    return reader


def _kind(
    name: str, written: Mapping[str, Any], kinds: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The dataclass of a record by its kind, and the other fields."""
    kind = written.get("kind")
    if kind not in list(kinds):
        raise ValueError(
            f"{name}: `kind` is {kind!r}, but must be one of {', '.join(kinds)}."
        )
    return kinds[kind], {k: v for k, v in written.items() if k != "kind"}


def _check_statistics(name: str, table: Table) -> None:
    """Refuses a table with too few or too many means or deviations."""
    for field in "means", "deviations":
        found, needed = len(getattr(table, field)), len(table.names)
        if found != needed:
            raise ValueError(
                f"{name}: `{field}` has {found} numbers, but there are {needed} "
                "encoded columns."
            )
