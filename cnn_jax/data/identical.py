"""Examples that are identical: in two splits, or in two classes."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

FEW = "there are too few different ones to keep them in one split"
LEAKS = (("test", ("train", "validation")), ("validation", ("train",)))


def identities(contents: Iterable[Hashable]) -> np.ndarray:
    """A number for each example, equal for identical ones.

    Args:
        contents: The examples, or a digest of each.

    Example:
        >>> identities(["x", "y", "x"])
        array([0, 1, 0])
    """
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(one, len(known)) for one in contents], int)


def remarks_on_identical(
    same: np.ndarray,
    parts: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    kind: str,
    cause: str,
    classes: Sequence[str] | None = None,
) -> list[str]:
    """Remarks on identical examples, with their number and the first pair of them.

    Args:
        same: Of `identities`.
        parts: The examples of each split.
        names: The name of each example.
        kind: What they are, such as `files`.
        cause: The reason why identical examples are in different splits, if any are.
        classes: The class of each; by default they have a quantity.

    Example:
        >>> parts = {"train": np.array([0, 1]), "test": np.array([2])}
        >>> for note in remarks_on_identical(
        ...     np.array([0, 1, 0]),
        ...     parts,
        ...     ["a", "b", "c"],
        ...     kind="files",
        ...     cause="remove them from one of both",
        ... ):
        ...     print(note)
        1 of 1 files of the test split are identical to files of the training split,
        such as c to a, and its result on them says nothing about new ones: remove them
        from one of both
    """
    _, first, copy_of = np.unique(same, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[copy_of] != np.arange(len(same))).tolist()
    if not copies:
        return []
    notes = [
        f"{note}: {cause}"
        for split, others in LEAKS
        if split in parts
        for note in _leak(split, others, same, parts, names, kind)
    ]
    if not notes:
        copy, twin = copies[0], int(first[copy_of[copies[0]]])
        pair = f"{names[copy]} to {names[twin]}"
        notes.append(
            f"{len(copies):,} {kind} are identical to an earlier one, such as {pair}; "
            "identical ones are in one split"
        )
    if classes is not None:
        notes += _contradictions(same, classes, names, kind)
    return notes


def _leak(
    split: str,
    others: Sequence[str],
    same: np.ndarray,
    parts: Mapping[str, np.ndarray],
    names: Sequence[str],
    kind: str,
) -> list[str]:
    """A remark on examples of a split that are in one of the others, too."""
    own = parts[split]
    other = np.concatenate([parts[name] for name in others if name in parts])
    found = own[np.isin(same[own], same[other])]
    if not len(found):
        return []
    twin = other[same[other] == same[found[0]]][0]
    where = next(name for name in others if twin in parts.get(name, ()))
    titles = {"train": "training"}
    return [
        f"{len(found):,} of {len(own):,} {kind} of the {split} split are identical to "
        f"{kind} of the {titles.get(where, where)} split, such as {names[found[0]]} to "
        f"{names[twin]}, and its result on them says nothing about new ones"
    ]


def _contradictions(
    same: np.ndarray, classes: Sequence[str], names: Sequence[str], kind: str
) -> list[str]:
    """A remark on identical examples of different classes."""
    pairs = set(zip(same.tolist(), classes, strict=True))
    numbers = np.array([number for number, _ in pairs])
    found = np.flatnonzero(np.isin(same, np.flatnonzero(np.bincount(numbers) > 1)))
    if not len(found):
        return []
    one = int(found[0])
    twins = np.flatnonzero(same == same[one]).tolist()
    two = next(i for i in twins if classes[i] != classes[one])
    return [
        f"{len(found):,} {kind} are identical to one of another class, such as "
        f"{names[one]} ({classes[one]!r}) and {names[two]} ({classes[two]!r}): not all "
        "of their labels can be predicted; they are used as they are"
    ]
