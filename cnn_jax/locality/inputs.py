"""Checking and encoding of inputs and labels."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.cells import LARGEST
from cnn_jax.data.recognise import recognise

MIN_ROWS = 10  # Of each class.


class PreparedData(NamedTuple):
    """Checked data, (rows, positions, channels), and its spatial size."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    size: tuple[int, ...]
    notes: list[str]
    table: bool


def prepare(inputs: Any, labels: Any, *, names: Sequence[str] = ()) -> PreparedData:
    """Checks data and brings it into the form (rows, positions, channels).

    Args:
        inputs: As for `test`.
        labels: As for `test`.
        names: The names of the columns of a table.

    Returns:
        Checked data, not yet filled or scaled.

    Raises:
        ValueError: As `test`.
        TypeError: As `test`.
    """
    inputs, notes = np.asarray(inputs), []
    if inputs.ndim not in (2, 3, 4):
        raise TypeError(
            f"`inputs` has {inputs.ndim} axes, but a table has 2, signals 3 and "
            "images 4."
        )
    y, classes = _classes(np.asarray(labels), len(inputs))
    table = inputs.ndim == 2
    if table:
        inputs, names = _numbers(inputs, names, notes)
        _warn_of_label(inputs, names, y)
        size, x = (inputs.shape[1],), inputs[..., None]
    else:
        size, x = inputs.shape[1:-1], np.asarray(inputs, np.float32)
        x = x.reshape(len(x), -1, inputs.shape[-1])
        if not np.isfinite(x).all():
            raise ValueError("`inputs` has values that are NaN or infinite.")
    if math.prod(size) < 2:
        raise ValueError(
            f"`inputs` has {math.prod(size)} position(s), but order needs at least 2."
        )
    return PreparedData(x, y, classes, tuple(size), notes, table)


def _classes(labels: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    if labels.shape != (rows,):
        raise ValueError(f"`labels` has shape {labels.shape}, but needs ({rows},).")
    quantity = labels.dtype.kind == "f" and (labels % 1 != 0).any()
    names, y = np.unique(labels, return_inverse=True)
    counts = np.bincount(y)
    few = [
        f"{name} ({count})"
        for name, count in zip(names, counts, strict=True)
        if count < MIN_ROWS
    ]
    if quantity or len(few) > max(20, len(names) // 2):
        raise ValueError(
            f"`labels` has {len(names):,} different values, which is a quantity, not "
            "classes; cut it into classes first, as `numpy.digitize` does."
        )
    if len(names) < 2:
        raise ValueError(
            f"`labels` is always {names[0]}, but needs at least 2 classes."
        )
    if few:
        raise ValueError(
            f"`labels` has classes with fewer than {MIN_ROWS} rows: "
            f"{', '.join(few[:5])}; "
            "leave them out or join them."
        )
    return y.astype(np.int32), len(names)


def _numbers(
    inputs: np.ndarray, names: Sequence[str], notes: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Columns of floats, encoded from text where needed, without constant ones."""
    names = list(names) or [f"column {i + 1}" for i in range(inputs.shape[1])]
    if len(names) != inputs.shape[1]:
        raise ValueError(
            f"`names` has {len(names)} entries, but there are {inputs.shape[1]} "
            "columns."
        )
    columns = _encoded(inputs, names, notes)
    missing = {n: int(np.isnan(c).sum()) for n, c in columns.items()}
    counts = [f"{name!r} ({count})" for name, count in missing.items() if count]
    if counts:
        notes.append(
            f"missing values became the mean of their column: {_first(counts)}"
        )
    constant = [n for n, c in columns.items() if len(np.unique(c[~np.isnan(c)])) < 2]
    if constant:
        notes.append(
            f"constant columns were dropped: {_first(list(map(repr, constant)))}"
        )
    kept = {name: column for name, column in columns.items() if name not in constant}
    if not kept:
        raise ValueError("`inputs` has constant columns only.")
    return np.stack(list(kept.values()), axis=1), list(kept)


def _encoded(
    inputs: np.ndarray, names: Sequence[str], notes: list[str]
) -> dict[str, np.ndarray]:
    """Each column of numbers; text is encoded as in `data.recognise`."""
    if inputs.dtype.kind in "fiub":
        for name, column in zip(names, inputs.T, strict=True):
            if (np.abs(column.astype(np.float64)) > LARGEST).any():
                raise ValueError(
                    f"column {name!r} has values that are infinite or beyond "
                    f"±{LARGEST:.2g}, the largest number of a network; correct them."
                )
        return dict(zip(names, inputs.T.astype(np.float64), strict=True))
    cells = [[str(cell).strip() for cell in column] for column in inputs.T]
    table = dict(zip(names, cells, strict=True))
    found = recognise(table)
    notes += found.notes
    encoded = {}
    for column in found.columns:
        values = column.encode(table[column.name])
        encoded |= dict(zip(column.names, values.T, strict=True))
    return encoded


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _warn_of_label(x: np.ndarray, names: Sequence[str], y: np.ndarray) -> None:
    """Warns of a column that equals the label."""
    for name, column in zip(names, x.T, strict=True):
        values, codes = np.unique(column, return_inverse=True)
        pairs = len(set(zip(codes.tolist(), y.tolist(), strict=True)))
        if len(values) == pairs == len(np.unique(y)):
            warnings.warn(
                f"column {name!r} is the label by another name; leave it out, or it "
                "alone answers the question.",
                stacklevel=4,
            )
