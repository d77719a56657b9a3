"""The splits of a run, in `splits.json`, and its broken files, in `broken.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

from cnn_jax.data import Dataset, fingerprint
from cnn_jax.training.arrays import checksum
from cnn_jax.training.run_files import read_json, write_whole

NAMES = ("train", "validation", "test")
OWN = ("fingerprints", "checksum")  # Fields that are no splits.


class Splits(TypedDict):
    """What `splits.json` holds.

    Each split lists its files or rows; that of a named data set is empty.

    `fingerprints` are parallel to them: of a file, its size, a digest of its content
    and its class; of a row, a digest of what the network reads and its label. A named
    data set has one digest of all labels of a split and one of all inputs.
    """

    train: list[str]
    test: list[str]
    validation: NotRequired[list[str]]
    fingerprints: NotRequired[dict[str, list[str]]]
    checksum: NotRequired[str]


class Known(NamedTuple):
    """The files or rows of each split, and their fingerprints.

    Args:
        names: By split.
        fingerprints: By split; None in runs of earlier versions.
    """

    names: dict[str, list[str]]
    fingerprints: dict[str, list[str]] | None


def read_splits(folder: str | Path) -> Any:
    """The files or rows of each split of a run.

    Args:
        folder: The run folder.

    Raises:
        ValueError: If `splits.json` is not as it was written.
        FileNotFoundError: If there is none.
    """
    return read_known(folder).names


def read_known(folder: str | Path) -> Known:
    """The files or rows of each split of a run, and their fingerprints.

    Args:
        folder: The run folder.

    Raises:
        ValueError: If `splits.json` is not as it was written.
        FileNotFoundError: If there is none.
    """
    file = Path(folder) / "splits.json"
    written = read_json(file, Splits)
    if any(field in written for field in OWN):
        _check_unchanged(file, written)
    names = {name: own for name, own in written.items() if name not in OWN}
    return Known(names, written.get("fingerprints"))


def read_broken(folder: str | Path) -> dict[str, str]:
    """The files of a run that could not be read at its training, with the reason.

    Args:
        folder: The run folder.

    Raises:
        ValueError: If `broken.json` is not as it was written.
    """
    file = Path(folder) / "broken.json"
    return read_json(file, dict[str, str]) if file.is_file() else {}


def write_splits(folder: str | Path, dataset: Dataset) -> None:
    """Writes the examples of each split with their fingerprints, and the broken files.

    Args:
        folder: The run folder.
        dataset: Its data.
    """
    splits, broken = Path(folder) / "splits.json", Path(folder) / "broken.json"
    origin = dataset.origin
    names: dict[str, Any] = {} if origin is None else {**origin.names}
    if origin is not None and names:
        prints = origin.fingerprints
        write_whole(broken, json.dumps(origin.broken, indent=1))
    else:
        names = {name: [] for name in dataset.splits()}
        prints = fingerprints_of(dataset)
    fields = {**names, "fingerprints": prints} if prints else names
    fields = json.loads(json.dumps(fields))
    fields["checksum"] = _checksum(fields)
    write_whole(splits, json.dumps(fields, indent=1))


def fingerprints_of(dataset: Dataset) -> dict[str, list[str]]:
    """A digest of the labels and one of the inputs of each split that is in memory.

    Args:
        dataset: A data set without files.
    """
    return {name: of_split(split) for name, split in dataset.splits().items()}


def of_split(split: Any) -> list[str]:
    """A digest of the labels and one of the inputs of a split.

    Args:
        split: Arrays by name, or a source, which has none.
    """
    if not isinstance(split, Mapping):
        return []
    inputs = [split[name] for name in sorted(split) if name != "label"]
    digests = [fingerprint.of_array(array) for array in inputs]
    return [fingerprint.of_array(split["label"]), "-".join(digests)]


def _checksum(fields: Mapping[str, Any]) -> str:
    """Of all fields but itself."""
    rest = {name: value for name, value in fields.items() if name != "checksum"}
    return checksum(json.dumps(rest, sort_keys=True))


def _check_unchanged(file: Path, written: Mapping[str, Any]) -> None:
    """Refuses splits that are not those of the training."""
    if written.get("checksum") != _checksum(written):
        raise ValueError(
            f"{file} was changed after the training: it has another `checksum`, and "
            "the test would be on other examples. Undo the change, or train again."
        )
