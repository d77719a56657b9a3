"""Which examples are learned from, which are watched, and which are kept aside."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset

TEST, VALIDATION = 0.2, 0.1  # Shares of all examples.
WHOLE = (int, np.integer)


def split_rows(
    labels: Sequence[Any] | np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Deals examples out to `train`, `validation` and `test`: 70, 10 and 20 in 100.

    Each class gets about the same share everywhere. Examples of one group, such as the
    recordings of one speaker, stay together, so that a test on groups that were never
    heard is an honest one.

    Args:
        labels: The class of each example.
        groups: The group of each, if they are to be kept apart.
        seed: Of the dealing.

    Returns:
        The rows of each split, in order.

    Raises:
        ValueError: If a class has fewer than three examples, there are fewer than three
            groups, or a class is in no group that could be learned from.

    Example:
        >>> rows = split_rows([0, 1] * 50)
        >>> {name: len(found) for name, found in rows.items()}
        {'train': 70, 'validation': 10, 'test': 20}
    """
    labels = np.asarray(labels)
    few = {k: n for k, n in Counter(labels.tolist()).items() if n < 3}
    for name, count in few.items():
        raise ValueError(
            f"class {name!r} has {count} example(s), but "
            "three are needed: one to learn from, one to watch, one to test on."
        )
    rows = np.arange(len(labels))
    rest, test = _parted(rows, labels, groups, TEST, seed)
    train, validation = _parted(rest, labels, groups, VALIDATION / (1 - TEST), seed)
    missing = set(labels.tolist()) - set(labels[train].tolist())
    if missing:
        raise ValueError(
            f"class {min(missing)!r} is only in groups that are kept for testing; each "
            "class must be in several groups."
        )
    return {"train": train, "validation": validation, "test": test}


def check_seed(seed: Any) -> None:
    """Refuses a seed that does not decide the dealing.

    Args:
        seed: A whole number from 0 to 2³² − 1.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is out of range.
    """
    if not isinstance(seed, WHOLE) or isinstance(seed, bool):
        raise TypeError(f"`seed` is {seed!r}, but must be a whole number.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` is {seed}, but must be from 0 to 2**32 - 1.")


def with_validation(found: Dataset, *, seed: int = 0) -> Dataset:
    """The data with an eighth of what is learned from as validation, if it has none.

    Args:
        found: The data; sources are left as they are.
        seed: Of the dealing.

    Returns:
        The data with three splits.
    """
    if found.validation is not None or not isinstance(found.train, Mapping):
        return found
    labels = np.asarray(found.train["label"])
    share = VALIDATION / (1 - TEST)
    train, aside = _parted(np.arange(len(labels)), labels, None, share, seed)
    splits = {
        name: {field: array[rows] for field, array in found.train.items()}
        for name, rows in (("train", train), ("validation", aside))
    }
    return dataclasses.replace(found, **splits)


def _parted(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | None,
    share: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Some rows, and the share of them that is set aside; every class in both."""
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    if groups is None:
        aside = max(round(share * len(rows)), len(set(labels.tolist())))
        kept, out = train_test_split(
            rows, test_size=aside, stratify=labels[rows], random_state=seed
        )
        return np.sort(kept), np.sort(out)
    own = np.asarray(groups)[rows]
    folds = min(round(1 / share), len(set(own.tolist())))
    if folds < 2:
        raise ValueError(
            f"`group` makes {len(set(groups))} group(s), but three are needed: one to "
            "learn from, one to watch, one to test on."
        )
    dealt = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    kept, out = next(dealt.split(rows, labels[rows], own))
    return rows[kept], rows[out]
