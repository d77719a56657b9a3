"""Numbers and dates from the text of cells."""

import datetime
import functools
import math
import re
from collections.abc import Callable, Sequence

import numpy as np

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
LARGEST = float(np.finfo(np.float32).max)  # Larger numbers would be infinite.
EPOCH = datetime.date(1970, 1, 1).toordinal()
ORDERS = ("YMD", "DMY", "MDY")  # Of year, month and day; the first that fits is taken.
PIVOT = 69  # Years of two digits from here on are in the 20th century.
UNIT = r"(?:[€$£¥%]|EUR|USD|GBP|CHF|kr|zł)?"
DATE = re.compile(
    r"(\d{4}|\d{1,2})([-./])(\d{1,2})\2(\d{4}|\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?"
    r" ?([AP]M)? ?(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that its value is unknown.

    Example:
        >>> is_missing("N/A"), is_missing("0")
        (True, False)
    """
    return cell.lower() in MISSING


@functools.cache
def _amount(decimal: str) -> re.Pattern[str]:
    """A number with a currency or percent sign, and marks between the thousands."""
    comma, point = (",", r"\.") if decimal == "." else (r"\.", ",")
    whole = rf"(?:[1-9]\d{{0,2}}(?:[{comma}'’\s]\d{{3}})+|\d+)"
    body = rf"(?:{whole}(?:{point}\d*)?|{point}\d+)(?:e[+-]?\d+)?"
    return re.compile(rf"([+-]?)\s*{UNIT}\s*([+-]?{body})\s*{UNIT}", re.IGNORECASE)


def number(cell: str, decimal: str) -> float:
    """A number or an amount; NaN where the cell is something else.

    Args:
        cell: The text.
        decimal: The decimal mark, a point or a comma; the other one may separate
            thousands.

    Returns:
        The number without its unit.

    Example:
        >>> number("€ 1.234,50", ","), number("1,234.50", "."), number("12 %", ".")
        (1234.5, 1234.5, 12.0)
        >>> number("12,50", ".")
        nan
    """
    if decimal == ".":
        try:
            return float(cell)
        except ValueError:
            pass
    found = _amount(decimal).fullmatch(cell.replace("−", "-"))
    if found is None:
        return math.inf if re.fullmatch("[+-]?inf(inity)?", cell.lower()) else math.nan
    other = "," if decimal == "." else "."
    digits = re.sub(rf"[\s'’{other}]", "", found[2]).replace(",", ".")
    return -float(digits) if found[1] == "-" else float(digits)


def date(cell: str, order: str) -> float:
    """A date as days since 1970-01-01; NaN where the cell is something else.

    Args:
        cell: Such as `2024-01-31`, `31.1.2024` or `1/31/24 3:05 PM`.
        order: `YMD`, `DMY` or `MDY`. Between points the day comes first.

    Returns:
        Days, with the time as their fraction, in UTC where the cell has a time zone.

    Example:
        >>> date("1970-01-02 06:00", "YMD"), date("3/1/1970", "DMY")
        (1.25, 2.0)
        >>> date("30.2.2024", "DMY")
        nan
    """
    found = DATE.fullmatch(cell)
    if found is None or (len(found[1]) == 4) != (order == "YMD"):
        return math.nan
    if found[2] == "." and order == "MDY":
        return math.nan
    parts = dict(zip(order, (found[1], found[3], found[4]), strict=True))
    if len(parts["Y"]) < 2:
        return math.nan
    year = int(parts["Y"])
    if len(parts["Y"]) < 4:
        year += 1900 if year >= PIVOT else 2000
    try:
        day = datetime.date(year, int(parts["M"]), int(parts["D"])).toordinal()
    except ValueError:
        return math.nan
    return day - EPOCH + _time(*found.groups()[4:])


def _time(
    hour: str | None,
    minute: str | None,
    second: str | None,
    half: str | None,
    zone: str | None,
) -> float:
    """The time as a fraction of a day; NaN where there is no such time."""
    if hour is None or minute is None:
        return 0.0
    hours = int(hour)
    if half:
        hours = hours % 12 + 12 * (half.lower() == "pm")
    if hours > 24 or int(minute) > 59:
        return math.nan
    seconds = hours * 3600 + int(minute) * 60 + float(second or 0)
    if zone and zone.upper() != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= -offset if zone[0] == "-" else offset
    return seconds / 86400


def parsed(cells: Sequence[str], read: Callable[[str], float]) -> np.ndarray:
    """Cells as float64, NaN where one is missing or cannot be read.

    Args:
        cells: Texts.
        read: From a text to a number, such as `number` with its decimal mark.

    Returns:
        An array as long as the cells.

    Example:
        >>> parsed(["1", "?", "x"], lambda cell: number(cell, "."))
        array([ 1., nan, nan])
    """
    known = {c: math.nan if is_missing(c) else read(c) for c in set(cells)}
    return np.fromiter(map(known.__getitem__, cells), np.float64, len(cells))
