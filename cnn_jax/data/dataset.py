"""What a data set is: arrays of equal length, and the names of the classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Split = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Dataset:
    """Labelled examples, some to learn from and some to be tested on.

    Each split has `label`, whole numbers that count into `classes`, and one more array
    of the same length: `image`, `signal` or `table`.

    Args:
        train: What a network learns from.
        test: What it never sees while it learns.
        classes: The name of each label.
        validation: What decides when to stop or which network to keep, if there is one.

    Raises:
        ValueError: If a split has no labels or no input, its arrays differ in length,
            or a label is outside the classes.

    Example:
        >>> split = {"image": np.zeros((2, 9, 9, 1)), "label": np.array([0, 1])}
        >>> Dataset(train=split, test=split, classes=("X", "O")).shape
        (9, 9, 1)
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    validation: Split | None = None

    def __post_init__(self):
        splits = {"train": self.train, "test": self.test, "validation": self.validation}
        for name, split in splits.items():
            if split is not None:
                _check_split(name, split, len(self.classes))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return self.train[input_name(self.train)].shape[1:]


def input_name(split: Split) -> str:
    """The name of what a network reads: `image`, `signal` or `table`."""
    names = [name for name in split if name != "label"]
    if len(names) != 1:
        raise ValueError(f"a split has {list(split)}, but needs `label` and one input.")
    return names[0]


def _check_split(name: str, split: Split, classes: int) -> None:
    if "label" not in split:
        raise ValueError(f"`{name}` has {list(split)}, but no `label`.")
    inputs, labels = len(split[input_name(split)]), split["label"]
    if inputs != len(labels):
        raise ValueError(f"`{name}` has {inputs} inputs, but {len(labels)} labels.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"`{name}` has labels from {labels.min()} to {labels.max()}, but there are "
            f"{classes} classes, so they must be 0 to {classes - 1}."
        )
