"""A trained network with all that it takes to use it: its folder is enough.

net = trained.load("runs/train/birds")
for name, found in net.predict(["garden.jpg"]): ...
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from cnn_jax import data, models, training
from cnn_jax.data import Dataset, Split
from cnn_jax.data.dataset import length
from cnn_jax.data.folder import (
    attempts,
    check_broken,
    labels_in,
    list_files,
    load_folder,
    read_split,
)
from cnn_jax.data.readers import AudioReader, Reader, from_fields, to_fields
from cnn_jax.data.splits import with_validation
from cnn_jax.data.table import SUFFIXES as TABLES
from cnn_jax.data.table import Table, labels_of, load_table, read_csv
from cnn_jax.nn import Chain

BATCH = 64  # Always as many go through the network at once: one compilation.
SMALLEST = 32  # What the networks for small pictures were made for.


@dataclasses.dataclass(frozen=True)
class About:
    """What a run was made from, as its `config.json` says.

    Args:
        data: A folder, a CSV file or a named set.
        model: One of `models.MODELS`.
        options: What it was made with.
        classes: The names that it logits for.
        reader: How a file becomes an input; see `data.readers.to_fields`.
        label: The column that was learned, of a table.
        seed: Of the splits, the weights and the training.
        data_dir: Where named sets lie.
    """

    data: str
    model: str
    options: dict[str, Any]
    classes: tuple[str, ...]
    reader: dict[str, Any]
    label: str | None = None
    seed: int = 0
    data_dir: str | None = None

    def build(self) -> Chain:
        """The network, with weights drawn from the seed."""
        return models.build(self.model, rngs=nnx.Rngs(self.seed), **self.options)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, and what it needs to be asked.

    Args:
        folder: Of the run.
        about: What it was made from.
        net: The network, with the weights of its best checkpoint.
        reader: How a file becomes an input.
    """

    folder: Path
    about: About
    net: Chain
    reader: Reader

    def predict(
        self, files: Sequence[str | Path]
    ) -> Iterator[tuple[str, np.ndarray | Exception]]:
        """Reads files and logits on them; what cannot be read does not stop it.

        Args:
            files: Images or sounds; or CSV files, each row of which is voted on. Only
                some of them are in memory at a time.

        Yields:
            The name of each file, with `:` and the row for a table, and a probability
            for each class; or why it could not be read.
        """
        found = attempts(self.reader, map(Path, files))
        each = zip(map(str, files), found, strict=True)
        if isinstance(self.reader, Table):
            each = itertools.chain.from_iterable(itertools.starmap(_rows, each))
        while chunk := list(itertools.islice(each, BATCH)):
            good = [x for _, x in chunk if not isinstance(x, Exception)]
            logits = iter(self._votes(good))
            for name, x in chunk:
                yield name, x if isinstance(x, Exception) else next(logits)

    def _votes(self, good: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities, from a batch that is filled up."""
        if not good:
            return np.zeros((0, len(self.about.classes)))
        batch = np.zeros((BATCH, *self.reader.shape), good[0].dtype)
        batch[: len(good)] = good
        logits = training.predict(self.net, batch, batch_size=BATCH)[: len(good)]
        return np.asarray(jax.nn.softmax(logits))

    def examples(self, name: str | Path | None = None) -> Split:
        """Labelled examples to be tested on.

        Args:
            name: A folder, a CSV file or a named set; by default those of its own data
                which were kept for the test.

        Returns:
            All of it; of a named set, its test split.

        Raises:
            ValueError: If there are other classes than those that were learned.
        """
        where = Path(name or self.about.data).expanduser()
        if isinstance(self.reader, Table):
            return self._table(self.reader, where, ours=name is None)
        if where.suffix.lower() in TABLES:
            kind = {"image": "pictures", "signal": "sounds"}[self.reader.kind]
            raise ValueError(f"{where} is a table, but {self.folder} learned {kind}.")
        if where.is_dir():
            return self._files(where, ours=name is None)
        found = _named(self.about, self.reader, name and str(name))
        return found.test | {"label": self._labels(where, found)}

    def _labels(self, where: Path, found: Dataset) -> np.ndarray:
        self._check_classes(where, found.classes)
        order = np.array([self.about.classes.index(name) for name in found.classes])
        return order[found.test["label"]].astype(np.int32)

    def _check_classes(self, where: Path, classes: Sequence[str]) -> None:
        other = sorted(set(classes) - set(self.about.classes))
        if other:
            raise ValueError(
                f"{where} has the class(es) {', '.join(other)}, but {self.folder} "
                f"learned {', '.join(self.about.classes)}."
            )

    def _table(self, reader: Table, path: Path, *, ours: bool) -> Split:
        rows = read_csv(path)
        labels = labels_of(path, rows, self.about.label, self.about.classes)
        split = {"table": reader.fit(rows), "label": labels}
        if not ours:
            return split
        kept = np.array([int(row) - 1 for row in read_splits(self.folder)["test"]])
        return {field: array[kept] for field, array in split.items()}

    def _files(self, root: Path, *, ours: bool) -> Split:
        files = list_files(root)
        self._check_classes(root, sorted(set(files.values())))
        names = read_splits(self.folder)["test"] if ours else list(files)
        labels = labels_in(root, names, files, self.about.classes)
        found, bad, _ = read_split(root, names, labels, self.reader)
        check_broken(root, len(names), bad, 0.01)
        return found  # pyright: ignore[reportReturnType]


def _rows(
    name: str, found: np.ndarray | Exception
) -> Iterator[tuple[str, np.ndarray | Exception]]:
    if isinstance(found, Exception):
        yield name, found
    else:
        yield from ((f"{name}:{i}", row) for i, row in enumerate(found, 1))


def load(folder: str | Path) -> Trained:
    """The network of a run, with the weights of its best checkpoint.

    Args:
        folder: Of a run that `cnn-jax train` made, also of one that was cut off.

    Returns:
        It, and what it needs to be asked.

    Raises:
        ValueError: If the folder is no such run.
        FileNotFoundError: If it has no checkpoint yet.
    """
    about = read_about(folder)
    net = about.build()
    training.restore(training.best(folder), net)
    return Trained(Path(folder), about, net, from_fields(about.reader))


def read_about(folder: str | Path) -> About:
    """What a run was made from.

    Args:
        folder: Of the run.

    Returns:
        Its record.

    Raises:
        ValueError: If the folder is no run that `cnn-jax train` made.
    """
    file = Path(folder) / "config.json"
    written = json.loads(file.read_text()) if file.is_file() else {}
    names = [field.name for field in dataclasses.fields(About)]
    if not {"data", "model", "reader"} <= written.keys():
        held = sorted(path.name for path in Path(folder).glob("*"))[:5]
        raise ValueError(
            f"{folder} is no run: a folder that `cnn-jax train` made is expected, with "
            "`config.json` and `checkpoints/`, but it has "
            f"{', '.join(held) or 'nothing'}."
        )
    found: dict[str, Any] = {name: written[name] for name in names}
    found["classes"] = tuple(found["classes"])
    return About(**found)


def read_splits(folder: str | Path) -> dict[str, list[str]]:
    """Which files or rows a run learned from, watched, and kept for the test."""
    return json.loads((Path(folder) / "splits.json").read_text())


def write_origin(folder: str | Path, found: Dataset) -> None:
    """Writes down which files or rows are in which split, and which are broken.

    Args:
        folder: Of the run.
        found: What it learns from.
    """
    if found.origin is not None and found.origin.names:
        splits, broken = Path(folder) / "splits.json", Path(folder) / "broken.json"
        splits.write_text(json.dumps(found.origin.names, indent=1))
        broken.write_text(json.dumps(found.origin.broken, indent=1))


def data_of(folder: str | Path) -> Dataset:
    """The data of a run, in the splits that it had.

    Args:
        folder: Of the run.

    Returns:
        What it learned from, watched and was tested on.

    Raises:
        ValueError: If files are gone, or it is no longer a data set.
    """
    about = read_about(folder)
    path, reader = Path(about.data), from_fields(about.reader)
    if isinstance(reader, Table):
        sides = tuple(name for name in reader.sides if name != about.label)
        splits: Any = read_splits(folder)
        found = load_table(path, label=about.label, drop=sides, splits=splits)
    elif path.is_dir():
        found = load_folder(path, reader=reader, splits=read_splits(folder))
    else:
        found = _named(about, reader)
    return with_validation(found, seed=about.seed)  # As when it was trained.


def _named(about: About, reader: Reader, name: str | None = None) -> Dataset:
    """A set with a name, as the reader has it."""
    if isinstance(reader, AudioReader):
        fitted: Any = {"rate": reader.rate, "seconds": reader.samples / reader.rate}
    else:
        fitted = {"size": reader.shape[0]}
    where = name or about.data
    return data.load(where, seed=about.seed, data_dir=about.data_dir, **fitted)


def model_for(found: Dataset) -> tuple[str, str]:
    """Which network suits the data, where none is asked for.

    Args:
        found: The data.

    Returns:
        One of `models.MODELS`, and why.
    """
    if len(found.shape) == 1:
        if isinstance(_reader(found), AudioReader):
            return "sound_net", "for sounds: a log-mel spectrogram and convolutions"
        return "mlp", "for tables, whose columns have no order to convolve over"
    side, channels = min(found.shape[:2]), found.shape[-1]
    if side > 64:
        return "resnet18", f"for pictures of {side} pixels"
    if channels == 1 and side <= 40:
        return "lenet5_relu", "for small grey pictures"
    return "resnet20", f"for pictures of {side} pixels"


def options_for(model: str, found: Dataset) -> dict[str, Any]:
    """What a network is made with to read the data.

    Args:
        model: One of `models.MODELS`.
        found: The data.

    Returns:
        Options for `models.build`.

    Raises:
        ValueError: If the network reads another kind of data.
    """
    options: dict[str, Any] = {"classes": len(found.classes)}
    if model == "mlp":
        return options | {"shape": list(found.shape)}
    reader, sounds = _reader(found), len(models.made_for(model)) == 1
    if sounds != isinstance(reader, AudioReader) or len(found.shape) != 3 - 2 * sounds:
        what = {3: "pictures"}.get(len(found.shape), "rows of a table")
        what = "sounds" if isinstance(reader, AudioReader) else what
        reads = "sounds" if sounds else "pictures"
        suits = model_for(found)[0]
        raise ValueError(
            f"`model` is {model!r}, which reads {reads}, but the data are {what}; "
            f"{suits!r} reads them."
        )
    if sounds:
        return options | {"rate": reader.rate}
    height, width, channels = found.shape
    options |= {"size": min(height, width)}
    if model != "xo_net":
        return options | {"channels": channels}
    if channels != 1:
        raise ValueError("`model` is 'xo_net', which reads grey pictures, not colours.")
    return options


def config_for(model: str, found: Dataset, **asked: Any) -> training.Config:
    """How to train, where it is not said.

    Args:
        model: One of `models.MODELS`.
        found: The data.
        **asked: Fields of a `training.Config` that are said; None where they are not.

    Returns:
        A one-cycle schedule of Adam; 10 to 60 epochs, the fewer the more examples there
        are; and for pictures what can happen to them: small grey ones are distorted,
        others shifted and mirrored.
    """
    count = length(found.train)
    batch = int(np.clip(count // 8, min(16, count), 64))
    epochs = int(np.clip(64_000 / count, 10, 60))
    augment: tuple[Any, ...] = ()
    if len(found.shape) == 3:
        grey = found.shape[-1] == 1
        augment = ("affine", "elastic") if grey else ("crop", "flip")
    usual = {
        "epochs": epochs,
        "batch_size": batch,
        "optimizer": "adam",
        "schedule": "onecycle",
        "learning_rate": 3e-3,
        "augment": augment,
        "keep_best": True,
        "save_every": 30.0,
    }
    said = {name: value for name, value in asked.items() if value is not None}
    return training.Config(**usual | said)


def _reader(found: Dataset) -> Any:
    return None if found.origin is None else found.origin.reader


def about(found: Dataset, model: str, name: str, **rest: Any) -> About:
    """What a run is made from.

    Args:
        found: The data.
        model: One of `models.MODELS`.
        name: Of the data.
        **rest: What an `About` has beside.

    Returns:
        A record that goes into `config.json`.

    Raises:
        ValueError: If the network reads another kind of data, or it is not known how
            more of them can be read.
    """
    if found.origin is None:
        raise ValueError(
            f"{name} has inputs of {found.shape}, which no file can be read into."
        )
    options, reader = options_for(model, found), to_fields(found.origin.reader)
    return About(name, model, options, found.classes, reader, **rest)
