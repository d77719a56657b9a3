"""What a data set is: labelled examples, and the names of the classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

Split = Mapping[str, np.ndarray]


@runtime_checkable
class Source(Protocol):
    """Examples that are read one at a time, as Grain and TFDS keep them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        """One example: its `label` and its input, by name."""
        ...


@dataclass(frozen=True)
class Origin:
    """Where examples came from, so that the same can be found and more be read.

    Args:
        reader: How a file becomes an input; see `data.readers`.
        names: Of the examples of each split: files, or rows of a table.
        broken: The files that could not be read, and why.
        notes: What else is to be known, such as missing values.
    """

    reader: Any
    names: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples, some to learn from and some to be tested on.

    It holds arrays, so it is equal to itself alone, and can be hashed.

    Each split has a `label` for every example, and one more array of the same length:
    `image`, `signal` or `table`. Instead of arrays it may be a source of such examples,
    for sets that do not fit into memory. Labels are whole numbers that count into
    `classes`, one per example or per place; or a true or false for every class, which
    may all be true; or quantities, one for each of `classes`, in floats.

    Args:
        train: What a network learns from.
        test: What it never sees while it learns.
        classes: The name of each label.
        validation: What decides when to stop or which network to keep, if there is one.
        origin: Where the examples came from, if they were files.

    Raises:
        ValueError: If a split has no labels or no input, its arrays differ in length,
            or a label is outside the classes or not finite.

    Example:
        >>> split = {"image": np.zeros((2, 9, 9, 1)), "label": np.array([0, 1])}
        >>> Dataset(train=split, test=split, classes=("X", "O")).shape
        (9, 9, 1)
    """

    train: Any  # Split or Source; a union would have to be told apart at every use.
    test: Any
    classes: tuple[str, ...]
    validation: Any = None
    origin: Origin | None = None

    def __post_init__(self):
        for name, split in self.splits().items():
            _check_split(name, split, len(self.classes))

    def splits(self) -> dict[str, Any]:
        """The splits that there are, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        example = self.train if isinstance(self.train, Mapping) else self.train[0]
        shape = np.shape(example[input_name(example)])
        return shape[1:] if isinstance(self.train, Mapping) else shape


def input_name(split: Mapping[str, Any]) -> str:
    """The name of what a network reads: `image`, `signal` or `table`."""
    names = [name for name in split if name != "label"]
    if len(names) != 1:
        raise ValueError(f"a split has {list(split)}, but needs `label` and one input.")
    return names[0]


def length(split: Split | Source) -> int:
    """How many examples there are."""
    return len(split["label"]) if isinstance(split, Mapping) else len(split)


def batches(
    split: Split | Source, rows: np.ndarray, batch_size: int, *, workers: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Reads rows in their order, ahead of their use, by Grain.

    Args:
        split: Arrays or a source.
        rows: Which examples.
        batch_size: How many make a batch; the last may be shorter.
        workers: Processes that read and decode; 0 for threads.

    Yields:
        Inputs and labels.
    """
    import grain
    from absl import flags

    source = _Rows(split) if isinstance(split, Mapping) else split
    examples = grain.MapDataset.source(_Ordered(source, rows))
    stream = examples.batch(batch_size).to_iter_dataset()
    if workers:
        if not flags.FLAGS.is_parsed():  # Grain 0.2 reads one of its own: grain#1355.
            flags.FLAGS.mark_as_parsed()
        options = grain.MultiprocessingOptions(num_workers=workers)
        stream = stream.mp_prefetch(options)
    for batch in stream:
        yield batch[input_name(batch)], batch["label"]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Arrays, one example at a time."""

    split: Split

    def __len__(self) -> int:
        return length(self.split)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: array[row] for name, array in self.split.items()}


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Some examples of a source, in an order."""

    source: Source
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.source[int(self.rows[index])]


def as_float(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Makes bytes, 0 to 255, floats from −1 (black) to 1 (white); all else stays.

    Images are kept as bytes, and become floats where a network is trained, asked or
    tested.

    Example:
        >>> as_float(jnp.array([0, 255], jnp.uint8))
        Array([-1.,  1.], dtype=float32)
    """
    return x / jnp.float32(127.5) - 1 if x.dtype == jnp.uint8 else x


def _check_split(name: str, split: Any, classes: int) -> None:
    if not isinstance(split, Mapping):
        if not isinstance(split, Source):
            raise TypeError(
                f"`{name}` is {type(split).__name__}, but must be arrays by name or a "
                "source with a length and examples by row."
            )
        if not len(split):
            raise ValueError(f"`{name}` is empty.")
        split = {key: np.asarray(value)[None] for key, value in split[0].items()}
    if "label" not in split:
        raise ValueError(f"`{name}` has {list(split)}, but no `label`.")
    inputs, labels = len(split[input_name(split)]), split["label"]
    if inputs != len(labels):
        raise ValueError(f"`{name}` has {inputs} inputs, but {len(labels)} labels.")
    check_labels(name, labels, classes)


def check_labels(name: str, labels: np.ndarray, classes: int) -> None:
    """Refuses labels outside of the classes, and those that are no number.

    Args:
        name: Of the split they are from.
        labels: Whole numbers, or quantities.
        classes: How many there are.

    Raises:
        ValueError: If a whole number is negative or not below `classes`, or a quantity
            is NaN or infinite.
    """
    if not len(labels):
        return
    if np.issubdtype(labels.dtype, np.floating):
        if not np.isfinite(labels).all():
            raise ValueError(f"`{name}` has labels that are NaN or infinite.")
    elif not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"`{name}` has labels from {labels.min()} to {labels.max()}, but there are "
            f"{classes} classes, so they must be 0 to {classes - 1}."
        )
