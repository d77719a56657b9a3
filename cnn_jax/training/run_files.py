"""Files of a run are read, and checked before they are used: JSON and its fields."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

ALL = CollectionCheckStrategy.ALL_ITEMS


def read_json(file: Path, kind: Any) -> Any:
    """The content of a JSON file of a run.

    Args:
        file: The file.
        kind: The type that its content must have, such as `dict[str, Any]`.

    Returns:
        The content.

    Raises:
        ValueError: If it is not JSON or of another type; the message names the file.
        FileNotFoundError: If there is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "splits.json"
        ...     _ = file.write_text('{"test": ["1", "4"]}')
        ...     read_json(file, dict[str, list[str]])
        {'test': ['1', '4']}
    """
    content = parse_json(str(file), file.read_bytes())
    check_value(str(file), content, kind)
    return content


def write_whole(file: Path, text: str) -> None:
    """Writes the whole text or nothing.

    Args:
        file: The file; one that is there is replaced.
        text: Its content.

    Raises:
        OSError: If it cannot be written.
    """
    written = file.with_name(f".{file.name}.new")
    try:
        written.write_text(text)
        os.replace(written, file)
    finally:
        written.unlink(missing_ok=True)


def parse_json(name: str, text: bytes) -> Any:
    """JSON values of a text.

    Args:
        name: What the text is, for the message.
        text: In UTF-8.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{name} is not JSON: it is nested too deep.") from None
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}.") from None


def check_value(name: str, value: Any, kind: Any) -> None:
    """Refuses a value of another type.

    Args:
        name: The file, and the field in it.
        value: JSON values.
        kind: The expected type.

    Raises:
        ValueError: If it is of another type; the message names the part that is.
    """
    try:
        check_type(value, kind, collection_check_strategy=ALL)
    except TypeCheckError as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{name} is not as it was written: {text}.") from None


def checked_fields(
    name: str, kind: type, written: Mapping[str, Any], *, more: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a dataclass from JSON values, lists converted to tuples.

    Args:
        name: The file, and the field in it.
        kind: The dataclass.
        written: All fields without a default, and some of the others.
        more: The types of fields beside those of the dataclass; they are left out.

    Returns:
        Arguments of the dataclass.

    Raises:
        ValueError: If a field is missing, unknown or of another type; the message
            names the file and the field.

    Example:
        >>> @dataclasses.dataclass
        ... class Point:
        ...     x: float
        ...     y: float = 0.0
        >>> checked_fields("point.json", Point, {"x": 1.5}, more={})
        {'x': 1.5}
        >>> checked_fields("a.json", Point, {"x": "a"}, more={})
        Traceback (most recent call last):
        ...
        ValueError: a.json: `x` is not as it was written: str is neither float or int.
    """
    fields = [field for field in dataclasses.fields(kind) if field.init]
    needed = [f.name for f in fields if _has_no_default(f)]
    known = {field.name for field in fields} | set(more)
    if lacks := [field for field in needed if field not in written]:
        raise ValueError(f"{name} lacks the field(s) {', '.join(lacks)}.")
    if extra := sorted(set(written) - known):
        raise ValueError(
            f"{name} has the unknown field(s) {', '.join(map(repr, extra))}; it has "
            f"{', '.join(sorted(known))}."
        )
    hints = {**get_type_hints(kind), **more}
    found = {f: v if f in more else tuples(v) for f, v in written.items()}
    for field, value in found.items():
        check_value(f"{name}: `{field}`", value, hints[field])
    return {field: value for field, value in found.items() if field not in more}


def tuples(value: Any) -> Any:
    """A value with lists as tuples, at any depth of lists."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def tuples_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with lists as tuples."""
    return {name: tuples(value) for name, value in fields.items()}


def _has_no_default(field: Any) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing
