"""Training, validation and test splits."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset

TEST, VALIDATION = 0.2, 0.1  # Fractions of all examples.
WHOLE = (int, np.integer)


def split_rows(
    labels: Sequence[Any] | np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    same: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Random splits `train`, `validation` and `test` of 70, 10 and 20 %.

    Splits are stratified by class. Examples of one group, such as the recordings of one
    speaker, stay in one split, so that the test is on groups that were not trained on.
    Without groups, identical examples stay in one split, unless there are too few
    different ones.

    Args:
        labels: The class of each example.
        groups: The group of each example.
        same: A number for each example, equal for identical ones.
        seed: Of the random numbers.

    Returns:
        The rows of each split, in order.

    Raises:
        ValueError: If a class has fewer than three examples, there are fewer than three
            groups, or a class is in no group of the training split.

    Example:
        >>> rows = split_rows([0, 1] * 50)
        >>> {name: len(own) for name, own in rows.items()}
        {'train': 70, 'validation': 10, 'test': 20}
    """
    labels = np.asarray(labels)
    if groups is None and same is not None:
        parts = _split_distinct(labels, same, seed)
        if parts is not None:
            return parts
    few = {k: n for k, n in Counter(labels.tolist()).items() if n < 3}
    for name, count in few.items():
        raise ValueError(
            f"class {name!r} has {count} example(s), but needs three: one each for "
            "training, validation and test."
        )
    rows = np.arange(len(labels))
    rest, test = _parted(rows, labels, groups, TEST, seed)
    train, validation = _parted(rest, labels, groups, VALIDATION / (1 - TEST), seed)
    missing = set(labels.tolist()) - set(labels[train].tolist())
    if missing:
        raise ValueError(
            f"class {min(missing)!r} is only in groups of the test or validation "
            "split; each class must be in several groups."
        )
    return {"train": train, "validation": validation, "test": test}


def _split_distinct(
    labels: np.ndarray, same: np.ndarray, seed: int
) -> dict[str, np.ndarray] | None:
    """Splits with identical examples in one of them.

    Returns:
        None where a class has fewer than three different examples, or the test split
        would be less than half or more than twice as large as it should be.
    """
    _, first, copy_of = np.unique(same, return_index=True, return_inverse=True)
    counts = Counter(labels[first].tolist())
    if set(counts) != set(labels.tolist()) or min(counts.values()) < 3:
        return None
    parts = split_rows(labels[first], seed=seed)
    parts = {n: np.flatnonzero(np.isin(copy_of, rows)) for n, rows in parts.items()}
    fraction = len(parts["test"]) / len(labels)
    copies = len(first) < len(labels)
    return None if copies and not TEST / 2 <= fraction <= 2 * TEST else parts


def check_seed(seed: Any) -> None:
    """Refuses a seed from which splits cannot be repeated.

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


def with_validation(dataset: Dataset, *, seed: int = 0) -> Dataset:
    """Takes an eighth of the training split as validation split, if there is none.

    Args:
        dataset: The data; sources are returned as they are.
        seed: Of the random numbers.

    Returns:
        The data with three splits.
    """
    if dataset.validation is not None or not isinstance(dataset.train, Mapping):
        return dataset
    labels = np.asarray(dataset.train["label"])
    fraction = VALIDATION / (1 - TEST)
    train, other = _parted(np.arange(len(labels)), labels, None, fraction, seed)
    splits = {
        name: {field: array[rows] for field, array in dataset.train.items()}
        for name, rows in (("train", train), ("validation", other))
    }
    return dataclasses.replace(dataset, **splits)


def _parted(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | None,
    fraction: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of some rows, the second with a fraction; each class is in both."""
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    if groups is None:
        size = max(round(fraction * len(rows)), len(set(labels.tolist())))
        first, second = train_test_split(
            rows, test_size=size, stratify=labels[rows], random_state=seed
        )
        return np.sort(first), np.sort(second)
    own = np.asarray(groups)[rows]
    folds = min(round(1 / fraction), len(set(own.tolist())))
    if folds < 2:
        raise ValueError(
            f"`group` makes {len(set(groups))} group(s), but needs three: one each for "
            "training, validation and test."
        )
    folded = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    first, second = next(folded.split(rows, labels[rows], own))
    return rows[first], rows[second]
