"""Labels that are one and the same in another spelling."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def meaning(text: str) -> str | Decimal:
    """A number where the text is one, without rounding; otherwise the text.

    Args:
        text: A label.

    Example:
        >>> meaning("1.0") == meaning("01"), meaning("1a")
        (True, '1a')
    """
    return Decimal(text) if NUMBER.fullmatch(text) else text


def joined(labels: Iterable[str]) -> dict[str, str]:
    """The label that each one is joined with: the most frequent one of a number.

    Args:
        labels: All labels, repeated as often as they occur.

    Example:
        >>> joined(["1", "2", "1.0", "1", "x"])
        {'1': '1', '2': '2', '1.0': '1', 'x': 'x'}
    """
    counts = Counter(labels)
    first: dict[str | Decimal, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], len(label), label)):
        first.setdefault(meaning(label), label)
    return {label: first[meaning(label)] for label in counts}


def appearance(text: str) -> str:
    """What remains of a text without case, spaces and the format of a number.

    Args:
        text: A label.

    Example:
        >>> appearance(" New  York") == appearance("new york")
        True
        >>> appearance("1.0") == appearance("01")
        True
    """
    plain = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    number = meaning(plain)
    return plain if isinstance(number, str) else str(float(number))


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels with one appearance.

    Args:
        labels: Different labels.

    Example:
        >>> alike(["yes", "no", "Yes"])
        [['yes', 'Yes']]
    """
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(appearance(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
