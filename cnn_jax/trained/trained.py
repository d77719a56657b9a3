"""A trained network that predicts files."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cnn_jax import training
from cnn_jax.data import Dataset, Split
from cnn_jax.data.files import attempts, check_broken, read_files
from cnn_jax.data.folder import BROKEN, labels_in, list_files
from cnn_jax.data.labels import labels_of, quantities_of
from cnn_jax.data.options import check_text
from cnn_jax.data.readers import Reader, from_fields
from cnn_jax.data.table import SUFFIXES as TABLES
from cnn_jax.data.table import Table, in_file, read_csv
from cnn_jax.data.table_file import fingerprints
from cnn_jax.nn import Chain
from cnn_jax.trained.find import fingerprints_of_files, warn_of_training
from cnn_jax.trained.metadata import Metadata, read_metadata
from cnn_jax.trained.run_data import (
    check_named,
    load_named,
    read_table,
    read_test_files,
)

BATCH = 64  # The size of every batch, so that there is one compilation.


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network, and what it takes to use it on files.

    Args:
        folder: The run folder.
        about: Its metadata.
        net: The network, with the weights of the best checkpoint.
        reader: Turns a file into an input.
    """

    folder: Path
    about: Metadata
    net: Chain
    reader: Reader

    def predict(
        self, files: Sequence[str | Path]
    ) -> Iterator[tuple[str, np.ndarray | Exception]]:
        """Predicts files; a file that cannot be read does not stop it.

        The files are read when the predictions are asked for.

        Args:
            files: Images or audio files; or CSV files, every row of which is predicted.
                Only some of them are in memory at a time.

        Returns:
            The name of each file, for a table with `:` and the row, and the probability
            of each class or the quantity; or the reason why it could not be read, or
            why the network has no finite prediction for it.

        Raises:
            TypeError: If `files` is a single path, or something else than paths.
        """
        if isinstance(files, str | Path) or not isinstance(files, Iterable):
            raise TypeError(
                f"`files` is {files!r}, but must be a list of paths, such as "
                f"[{str(files)!r}]."
            )
        return self._predictions(files)

    def _predictions(
        self, files: Iterable[str | Path]
    ) -> Iterator[tuple[str, np.ndarray | Exception]]:
        inputs = attempts(self.reader, map(Path, files))
        each = zip(map(str, files), inputs, strict=True)
        if isinstance(self.reader, Table):
            each = itertools.chain.from_iterable(itertools.starmap(_rows, each))
        while chunk := list(itertools.islice(each, BATCH)):
            valid = [x for _, x in chunk if not isinstance(x, Exception)]
            predictions = iter(self._predict(valid))
            for name, x in chunk:
                failed = isinstance(x, Exception)
                yield name, x if failed else _finite(next(predictions))

    def _predict(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities or quantities, from a batch that is padded to one size."""
        if not inputs:
            return np.zeros((0, len(self.about.classes)))
        batch = np.zeros((BATCH, *self.reader.shape), inputs[0].dtype)
        batch[: len(inputs)] = inputs
        logits = training.predict(self.net, batch, batch_size=BATCH)[: len(inputs)]
        return self.about.decode(logits)

    def examples(self, name: str | Path | None = None) -> Split:
        """Labelled examples for an evaluation.

        Examples of the training split among them are counted, and a warning says so.

        Args:
            name: A folder, a CSV file or a named data set; by default the test split of
                the run.

        Returns:
            All examples; of a named data set, its test split.

        Raises:
            TypeError: If `name` is no text.
            ValueError: If there are classes that the network was not trained on, or
                examples of the test split are gone or altered.
        """
        if name is not None:
            check_text("data", name, (str, Path))
        where = Path(self.about.data if name is None else name).expanduser()
        if isinstance(self.reader, Table):
            if name is None:
                return read_table(self.folder, self.about, self.reader, ["test"])[0][
                    "test"
                ]
            return self._table(self.reader, where)
        if where.suffix.lower() in TABLES:
            kind = {"image": "images", "signal": "audio"}[self.reader.kind]
            raise ValueError(
                f"{where} is a table, but {self.folder} was trained on {kind}."
            )
        if where.is_dir() and name is None:
            return read_test_files(self.folder, self.about, self.reader, where)
        if where.is_dir():
            return self._files(where)
        found = load_named(self.about, self.reader, name and str(name))
        if name is None:
            check_named(self.folder, self.about, {"test": found.test})
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
                f"was trained on {', '.join(self.about.classes)}."
            )

    def _table(self, reader: Table, path: Path) -> Split:
        rows = read_csv(path)
        if self.about.target is None:
            labels = labels_of(path, rows, self.about.label, self.about.classes)
        else:
            labels = quantities_of(path, rows, self.about.label)
        with in_file(path):
            split = {"table": reader.fit(rows), "label": labels}
        warn_of_training(self.folder, path, fingerprints(**split))
        return split

    def _files(self, root: Path) -> Split:
        files = list_files(root)
        self._check_classes(root, sorted(set(files.values())))
        labels = labels_in(root, list(files), files, self.about.classes)
        found = read_files(root, list(files), labels, self.reader)
        check_broken(root, len(files), found.broken, BROKEN)
        present = fingerprints_of_files(root, found.names, files)
        warn_of_training(self.folder, root, list(present.values()))
        return found.examples  # pyright: ignore[reportReturnType]


def _finite(prediction: np.ndarray) -> np.ndarray | Exception:
    """A prediction, or the reason why there is none."""
    if np.isfinite(prediction).all():
        return prediction
    return training.NotFiniteError(
        "its prediction is NaN or infinite: values of the input are too large for the "
        "network"
    )


def _rows(
    name: str, found: np.ndarray | Exception
) -> Iterator[tuple[str, np.ndarray | Exception]]:
    if isinstance(found, Exception):
        yield name, found
    else:
        yield from ((f"{name}:{i}", row) for i, row in enumerate(found, 1))


def load(folder: str | Path) -> Trained:
    """Loads the network of a run, with the weights of its best checkpoint.

    Args:
        folder: A run that `cnn-jax train` made, also an interrupted one.

    Returns:
        The network, and what it takes to use it on files.

    Raises:
        TypeError: If `folder` is no path.
        ValueError: If the folder is not such a run.
        FileNotFoundError: If it has no checkpoint yet.
    """
    if not isinstance(folder, str | Path):
        raise TypeError(f"`folder` is {folder!r}, but must be the path of a run.")
    about = read_metadata(folder)
    net = about.build()
    training.restore_best(folder, net)
    return Trained(Path(folder), about, net, from_fields(about.reader))
