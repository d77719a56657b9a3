"""A data set: labelled examples and the names of the classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

Split = Mapping[str, np.ndarray]


@runtime_checkable
class Source(Protocol):
    """Examples that are read one at a time, as Grain and TFDS provide them."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        """One example: its `label` and its inputs, by name."""
        ...


@dataclass(frozen=True)
class Origin:
    """The files behind a data set, and how they were read.

    Args:
        reader: Turns a file into an input; see `data.readers`.
        names: The examples of each split: files, or rows of a table.
        broken: Files that could not be read, with the reason.
        notes: Remarks for the user, such as the number of missing values.
        fingerprints: A text for each of the names, by which the example is found again.
    """

    reader: Any
    names: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples in a training, a test and perhaps a validation split.

    Each split has a `label` for every example and further arrays of the same length,
    its inputs: mostly one, `image`, `signal` or `table`. A network reads one input as
    an array and several as a dictionary. For sets that do not fit into memory, a split
    may be a source of such examples instead. Labels are indices into `classes`, one per
    example or per position; or a boolean for every class, any number of which may be
    true; or quantities in floats, one for each of `classes`.

    Data sets compare by identity, because arrays have no single truth value.

    Args:
        train: The training split.
        test: The test split, on which no choice is made.
        classes: The name of each label.
        validation: The split that decides when to stop and which weights to keep.
        origin: The files behind the examples, if there are any.

    Raises:
        TypeError: If a split is neither arrays of numbers by name nor a source, or the
            classes are no names.
        ValueError: If a split has no labels or no inputs, its arrays differ in length,
            two classes have one name, or a label is outside the classes or not finite.

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
        _check_class_names(self.classes)
        for name, split in {"train": self.train, "test": self.test}.items():
            if split is None:
                raise TypeError(f"`{name}` is None, but a data set needs one.")
        for name, split in self.splits().items():
            _check_split(name, split, len(self.classes))

    def splits(self) -> dict[str, Any]:
        """The splits by name, without those that are None."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def reader(self) -> Any:
        """What turns a file into an input; None without files."""
        return None if self.origin is None else self.origin.reader

    @property
    def shape(self) -> Any:
        """The shape of one input; of several, a dictionary of shapes."""
        rows = isinstance(self.train, Mapping)
        inputs = inputs_of(self.train if rows else self.train[0])
        return jax.tree.map(lambda x: np.shape(x)[1:] if rows else np.shape(x), inputs)


def input_name(split: Mapping[str, Any]) -> str:
    """The name of the only input of a split: `image`, `signal` or `table`."""
    names = [name for name in split if name != "label"]
    if len(names) != 1:
        raise ValueError(f"a split has {list(split)}, but needs `label` and one input.")
    return names[0]


def inputs_of(split: Mapping[str, Any]) -> Any:
    """The inputs of a split or of one example: an array, or several by name.

    Args:
        split: Arrays by name, among them `label`.

    Returns:
        All but the label: the only one, or a dictionary.

    Raises:
        ValueError: If there is no input.

    Example:
        >>> inputs_of({"image": 1, "label": 0})
        1
        >>> inputs_of({"image": 1, "mask": 2, "label": 0})
        {'image': 1, 'mask': 2}
    """
    inputs = {name: array for name, array in split.items() if name != "label"}
    if not inputs:
        raise ValueError(f"a split has {list(split)}, but needs at least one input.")
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def labels(split: Any) -> np.ndarray:
    """The labels of all examples, also of a source that has them apart as `labels`."""
    return np.asarray(split["label"] if isinstance(split, Mapping) else split.labels)


def length(split: Split | Source) -> int:
    """The number of examples."""
    return len(split["label"]) if isinstance(split, Mapping) else len(split)


def batches(
    split: Split | Source, rows: np.ndarray, batch_size: int, *, workers: int = 0
) -> Iterator[tuple[Any, Any]]:
    """Reads rows in order, ahead of their use, by Grain.

    Args:
        split: Arrays or a source.
        rows: The indices of the examples.
        batch_size: Examples per batch; the last may be shorter.
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
        yield inputs_of(batch), batch["label"]


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
    """Selected examples of a source, in a given order."""

    source: Source
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.source[int(self.rows[index])]


def as_float(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Maps bytes from 0 … 255 to floats from −1 (black) to 1 (white).

    Arrays of other types are returned as they are. Images are stored as bytes, and
    converted in training, evaluation and prediction.

    Args:
        x: An array.

    Returns:
        Floats, or `x`.

    Example:
        >>> as_float(jnp.array([0, 255], jnp.uint8))
        Array([-1.,  1.], dtype=float32)
    """
    return x / jnp.float32(127.5) - 1 if x.dtype == jnp.uint8 else x


def floats(inputs: Any) -> Any:
    """`as_float` of every array in a tree."""
    return jax.tree.map(as_float, inputs)


def _check_class_names(classes: Any) -> None:
    """Refuses what is no list of different names."""
    if not isinstance(classes, tuple | list) or not all(
        isinstance(name, str) for name in classes
    ):
        raise TypeError(
            f"`classes` is {classes!r}, but must be a tuple of names, one for each."
        )
    twice = [name for name in classes if classes.count(name) > 1]
    if twice:
        raise ValueError(f"`classes` has {twice[0]!r} twice; rename one.")


def _check_arrays(name: str, split: Mapping[str, Any]) -> None:
    """Refuses what are no arrays of numbers, with an axis for the examples."""
    for key, value in split.items():
        for array in jax.tree.leaves(value):
            number = hasattr(array, "dtype") and not array.dtype.hasobject
            if not number or array.dtype.kind in "USMm" or not array.ndim:
                kind = array.dtype if hasattr(array, "dtype") else type(array).__name__
                raise TypeError(
                    f"`{name}` has `{key}` of {kind}, but needs an array of numbers, "
                    "with a row for each example."
                )


def _check_split(name: str, split: Any, classes: int) -> None:
    if not isinstance(split, Mapping):
        if not isinstance(split, Source) or isinstance(split, list | tuple | str):
            raise TypeError(
                f"`{name}` is {type(split).__name__}, but must be arrays by name or a "
                "source with a length and examples by row."
            )
        if not len(split):
            raise ValueError(f"`{name}` is empty.")
        split = {key: np.asarray(value)[None] for key, value in split[0].items()}
    _check_arrays(name, split)
    if "label" not in split:
        raise ValueError(f"`{name}` has {list(split)}, but no `label`.")
    labels = split["label"]
    for inputs in jax.tree.leaves(inputs_of(split)):
        if len(inputs) != len(labels):
            raise ValueError(
                f"`{name}` has {len(inputs)} inputs, but {len(labels)} labels."
            )
    check_labels(name, labels, classes)


def check_labels(name: str, labels: np.ndarray, classes: int) -> None:
    """Refuses labels that are outside the classes, NaN or infinite.

    Args:
        name: The name of the split.
        labels: Class indices, or quantities.
        classes: The number of classes.

    Raises:
        ValueError: If a class index is negative or not below `classes`, or a quantity
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
