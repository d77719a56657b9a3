"""Checks of the options of `data.load`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.data.splits import WHOLE

NUMBER = (*WHOLE, float, np.floating)


def check_text(option: str, value: Any, kinds: type | tuple[type, ...] = str) -> None:
    """Refuses what is no text, or empty."""
    if not isinstance(value, kinds):
        raise TypeError(f"`{option}` is {value!r}, but must be text.")
    if not value and option != "name":
        raise ValueError(f"`{option}` is empty; leave it out, or name one.")


def check_positive(option: str, value: Any, *, whole: bool) -> None:
    """Refuses what is no number above 0."""
    kinds, kind = (WHOLE, "a whole number") if whole else (NUMBER, "a number")
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"`{option}` is {value!r}, but must be {kind}.")
    if not 0 < value < math.inf:
        raise ValueError(f"`{option}` is {value}, but must be above 0 and finite.")


def check_drop(drop: Any) -> None:
    """Refuses what is no list of columns."""
    if isinstance(drop, str) or not isinstance(drop, Sequence):
        raise TypeError(f"`drop` is {drop!r}, but must be a list of columns.")
    for column in drop:
        check_text("drop", column)


def check_broken_fraction(broken: Any) -> None:
    """Refuses what is no number from 0 to 1."""
    if not isinstance(broken, NUMBER) or isinstance(broken, bool):
        raise TypeError(f"`broken` is {broken!r}, but must be a number.")
    if not 0 <= broken <= 1:
        raise ValueError(f"`broken` is {broken}, but must be from 0 to 1.")


def refuse(kind: str, others: dict[str, Any]) -> None:
    """Refuses options of another kind of data."""
    for name, value in others.items():
        if value:
            raise ValueError(f"`{name}` is {value!r}, which {kind} does not use.")
