"""Reading many files, some of which may be broken."""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data import fingerprint
from cnn_jax.data.dataset import Split
from cnn_jax.data.errors import SYSTEM, raise_if_system
from cnn_jax.data.readers import Reader

WORKERS, AHEAD = 4, 64  # Threads that read, and files that are read ahead.


@dataclass(frozen=True, eq=False)
class Files:
    """Files that are read when they are needed; compared by identity."""

    root: Path
    names: tuple[str, ...]
    labels: np.ndarray
    reader: Reader

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> dict[str, Any]:
        x = self.reader.read(self.root / self.names[row])
        return {self.reader.kind: x, "label": self.labels[row]}

    def take(self, rows: np.ndarray) -> "Files":
        """Some of the files."""
        names = tuple(self.names[row] for row in rows)
        return replace(self, names=names, labels=self.labels[rows])


class Read(NamedTuple):
    """Files that were read.

    Args:
        examples: Those that could be read.
        names: Their names.
        digests: Of what the network reads, for each of them.
        broken: The files that could not be read, with the reason.
        odd: The odd files, with the reason.
    """

    examples: Split | Files
    names: tuple[str, ...]
    digests: tuple[str, ...]
    broken: dict[str, str]
    odd: dict[str, str]

    def take(self, rows: np.ndarray) -> Any:
        """Some of the examples."""
        if isinstance(self.examples, Files):
            return self.examples.take(rows)
        return {name: array[rows] for name, array in self.examples.items()}


def read_files(
    root: Path,
    names: Sequence[str],
    labels: np.ndarray,
    reader: Reader,
    *,
    keep: bool = True,
) -> Read:
    """Reads files, some of which may be broken.

    Args:
        root: The folder.
        names: The files below it.
        labels: The class of each.
        reader: Reads them.
        keep: Whether to keep the inputs in arrays, or to read files again when needed.

    Returns:
        The examples, and the broken and odd files.
    """
    inputs, digests, broken, odd = [], [], {}, {}
    paths = [root / name for name in names]
    for name, x in zip(names, attempts(reader, paths), strict=True):
        if isinstance(x, Exception):
            broken[name] = reason(x)
            continue
        if remark := reader.remark(x):  # pyright: ignore[reportAttributeAccessIssue]
            odd[name] = remark
        digests.append(fingerprint.of_array(x))
        if keep:
            inputs.append(x)
    valid = tuple(name for name in names if name not in broken)
    labels = labels[np.array([name not in broken for name in names], bool)]
    if keep:
        empty = np.zeros((0, *reader.shape), np.float32)
        split = {reader.kind: np.stack(inputs) if inputs else empty, "label": labels}
    else:
        split = Files(root, valid, labels, reader)
    return Read(split, valid, tuple(digests), broken, odd)


def remarks(odd: Mapping[str, str]) -> list[str]:
    """A remark for each kind of odd files: their number, and the first of them."""
    kinds: dict[str, list[str]] = {}
    for name, kind in odd.items():
        kinds.setdefault(kind, []).append(name)
    return [f"{len(names):,} {k}, such as {names[0]}" for k, names in kinds.items()]


def attempts(reader: Reader, paths: Iterable[Path]) -> Iterator[np.ndarray | Exception]:
    """Reads files ahead of their use; a file that cannot be read does not stop it.

    Args:
        reader: Reads them.
        paths: The files; only a few of them are in memory at a time.

    Yields:
        The input from each file, or the reason why it could not be read.
    """

    def attempt(path: Path) -> np.ndarray | Exception:
        try:
            return reader.read(path)
        except Exception as error:  # Pillow raises whatever its decoders do.
            raise_if_system(error, codes=SYSTEM)
            return error

    with ThreadPoolExecutor(WORKERS) as pool:
        ahead: deque[Future] = deque()
        for path in paths:
            ahead.append(pool.submit(attempt, path))
            if len(ahead) > AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def reason(error: Exception) -> str:
    """The reason why a file could not be read, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (str(error).strip() or repr(error)).splitlines()[0]
    return "no image that can be read" if "cannot identify" in text else text


def check_broken(root: Path, files: int, bad: Mapping[str, str], broken: float) -> None:
    """Warns of broken files, and refuses more of them than are allowed.

    Args:
        root: The folder.
        files: The number of files.
        bad: The broken ones, with the reason.
        broken: The largest fraction that is allowed.

    Raises:
        ValueError: If there are more.
    """
    if not bad:
        return
    first = "; ".join(f"{name}: {why}" for name, why in list(bad.items())[:5])
    message = f"{len(bad):,} of {files:,} files in {root} cannot be read ({first}"
    message += f"; and {len(bad) - 5:,} more)" if len(bad) > 5 else ")"
    if len(bad) > broken * files:
        raise ValueError(
            f"{message}, which is more than {broken:.1%}: repair or remove them, or "
            "allow more (`broken`)."
        )
    warnings.warn(f"{message}; they are not used.", stacklevel=4)
