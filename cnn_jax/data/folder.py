"""A folder of images or audio files: one subfolder per class."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data import fingerprint
from cnn_jax.data.dataset import Dataset, Origin
from cnn_jax.data.files import (
    AHEAD,
    WORKERS,
    Read,
    check_broken,
    read_files,
    remarks,
)
from cnn_jax.data.identical import FEW, identities, remarks_on_identical
from cnn_jax.data.input_size import bytes_of, check_inputs
from cnn_jax.data.readers import AUDIO_SUFFIXES, IMAGE_SUFFIXES, Framing, Reader
from cnn_jax.data.sizes import reader_for
from cnn_jax.data.spelling import alike
from cnn_jax.data.splits import split_rows

BROKEN = 0.01  # The largest fraction of files that may be broken by default.
IN_MEMORY = 2**30  # Bytes of inputs up to which they are kept in arrays.
IGNORED = frozenset(("thumbs.db", "desktop.ini"))
SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


def load_folder(
    root: str | Path,
    *,
    size: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    framing: Framing | None = None,
    group: str | None = None,
    broken: float = BROKEN,
    seed: int = 0,
) -> Dataset:
    """Reads a folder with one subfolder per class.

    Every file is read once, so that broken and identical files are known before
    training. Inputs that fit into memory stay there; others are read again when they
    are needed. Subfolders `train`, `test` and `validation` that hold the class folders
    are used as splits.

    Args:
        root: The folder.
        size: Height and width of images; see `sizes.reader_for` for the defaults.
        rate: Samples per second of audio.
        seconds: The length of audio.
        framing: What happens to images of another ratio; see `readers.ImageReader`.
        group: Keeps files together in one split, by a part of their names: `speaker`
            finds what follows this word, as in `speaker-3_yes.wav`; a regular
            expression with parentheses finds what is between them.
        broken: The largest fraction of files that may be broken.
        seed: Of the splits.

    Returns:
        Images as bytes or audio as samples, with classes in alphabetical order.

    Raises:
        ValueError: If the folder has another layout, or too many files are broken.
    """
    root = Path(root)
    files = list_files(root)
    given = _given(root, files, group)
    groups = {name: _group(name, group) for name in files} if group else {}
    form: Any = {"size": size, "rate": rate, "seconds": seconds}
    paths = [root / name for name in files]
    reader, notes = reader_for(paths, **form, framing=framing)
    found = _read(root, files, reader, broken)
    classes = [files[name] for name in found.names]
    same = identities(found.digests)
    if given is None:
        known = [groups[name] for name in found.names] if group else None
        parts = split_rows(classes, groups=known, same=same, seed=seed)
        cause = "`group` decides" if group else FEW
    else:
        parts, cause = _rows_of(given, found), "remove them from one of the two"
    identical = remarks_on_identical(
        same, parts, found.names, kind="files", cause=cause, classes=classes
    )
    return _dataset(root, files, reader, found, parts, [*notes, *identical])


def load_files(
    root: str | Path,
    files: Mapping[str, str],
    splits: Mapping[str, Sequence[str]],
    reader: Reader,
) -> Dataset:
    """Reads files whose class and split are known.

    Args:
        root: The folder.
        files: The class of each file by its name.
        splits: The files of each split.
        reader: Reads them.

    Returns:
        The data set, with classes in alphabetical order.

    Raises:
        ValueError: If too many files are broken.
    """
    root = Path(root)
    found = _read(root, files, reader, BROKEN)
    return _dataset(root, files, reader, found, _rows_of(splits, found), [])


def _read(root: Path, files: Mapping[str, str], reader: Reader, broken: float) -> Read:
    """Reads all files, which stay in memory if they fit into it."""
    keep = len(files) * bytes_of(reader) <= IN_MEMORY
    held = 2 * len(files) if keep else min(len(files), AHEAD)
    check_inputs(root, reader, held, workers=WORKERS)
    labels = labels_in(root, list(files), files, sorted(set(files.values())))
    found = read_files(root, list(files), labels, reader, keep=keep)
    check_broken(root, len(files), found.broken, broken)
    return found


def _dataset(
    root: Path,
    files: Mapping[str, str],
    reader: Reader,
    found: Read,
    parts: Mapping[str, np.ndarray],
    notes: Sequence[str],
) -> Dataset:
    """The data set of some files in their splits."""
    names = {split: tuple(found.names[i] for i in own) for split, own in parts.items()}
    contents = fingerprint.of_files(root, found.names)
    prints = {
        split: tuple(f"{contents[name]}:{files[name]}" for name in own)
        for split, own in names.items()
    }
    notes = (*notes, *remarks(found.odd))
    origin = Origin(
        reader, names, broken=found.broken, notes=notes, fingerprints=prints
    )
    split = {name: found.take(rows) for name, rows in parts.items()}
    return Dataset(**split, classes=tuple(sorted(set(files.values()))), origin=origin)


def _rows_of(splits: Mapping[str, Sequence[str]], found: Read) -> dict[str, np.ndarray]:
    """The positions of the files of each split among those that were read."""
    at = {name: i for i, name in enumerate(found.names)}
    return {
        split: np.array([at[name] for name in names if name in at], int)
        for split, names in splits.items()
    }


def list_files(root: Path) -> dict[str, str]:
    """The class of each file, by its name below the folder.

    Args:
        root: A folder with one subfolder per class, or one per split and class.

    Returns:
        Names in alphabetical order, without hidden files.

    Raises:
        ValueError: If there are fewer than two classes, one is empty, two differ in
            case, spaces or number format only, files lie beside them, or there are
            both images and audio.
    """
    found: dict[str, str] = {}
    for parent in [root / part for part in _parts(root)] or [root]:
        found |= _listed(root, parent)
    suffixes = Counter(Path(name).suffix.lower() for name in found)
    images = sum(suffixes[suffix] for suffix in IMAGE_SUFFIXES)
    audio = sum(suffixes[suffix] for suffix in AUDIO_SUFFIXES)
    if bool(images) == bool(audio):
        raise ValueError(
            f"{root} has {images} image(s) and {audio} audio file(s) by their suffixes "
            f"({', '.join(sorted(suffixes))}), but files of one kind are expected: "
            f"{' '.join(sorted(IMAGE_SUFFIXES))} or {' '.join(sorted(AUDIO_SUFFIXES))}."
        )
    return found


def _parts(root: Path) -> list[str]:
    """The subfolders `train`, `test` and the like, if there are no others."""
    names = [path.name for path in root.iterdir() if path.is_dir() and shown(path)]
    kinds = [SPLITS.get(name.lower()) for name in names]
    return sorted(names) if "train" in kinds and None not in kinds else []


def shown(path: Path) -> bool:
    """Whether a file belongs to the data, and is not hidden or made by a system."""
    return not path.name.startswith(".") and path.name.lower() not in IGNORED


def _listed(root: Path, parent: Path) -> dict[str, str]:
    """The class of each file in a folder, which must have the expected layout."""
    inside = sorted(filter(shown, parent.iterdir()))
    classes = [path for path in inside if path.is_dir()]
    beside = [path.name for path in inside if not path.is_dir()]
    same = alike(path.name for path in classes)
    expected = "one subfolder per class with nothing beside them is expected"
    if len(classes) < 2:
        names = ", ".join(path.name for path in classes) or "none"
        raise ValueError(
            f"{parent} has the class(es) {names}, but needs at least two: {expected}."
        )
    if beside:
        raise ValueError(
            f"{parent} has {len(beside)} file(s) beside its {len(classes)} classes, "
            f"such as {beside[0]!r}, but {expected}."
        )
    if same:
        raise ValueError(
            f"{parent} has {' and '.join(same[0])}: classes that differ in case, "
            "spaces or the format of a number only; rename or join them."
        )
    found = {}
    for folder in classes:
        files = [f for f in sorted(folder.rglob("*")) if f.is_file() and shown(f)]
        if not files:
            raise ValueError(f"{folder} is a class without files; fill or remove it.")
        found |= {file.relative_to(root).as_posix(): folder.name for file in files}
    return found


def _given(
    root: Path, classes: Mapping[str, str], group: str | None
) -> dict[str, list[str]] | None:
    """The files of each split of a folder that has splits."""
    given: dict[str, list[str]] = {}
    for name in classes if _parts(root) else ():
        given.setdefault(SPLITS[Path(name).parts[0].lower()], []).append(name)
    if len(given) < 2:
        return None
    if group is not None:
        _check_apart(root, given, group)
    if "test" not in given:
        given["test"] = given.pop("validation")
    trained = {classes[name] for name in given["train"]}
    other = sorted(set(classes.values()) - trained)
    if other:
        raise ValueError(f"{root} has class {other[0]!r}, but not in its `train`.")
    return given


def _check_apart(root: Path, given: Mapping[str, list[str]], group: str) -> None:
    """Refuses splits of a folder that share a group."""
    found: dict[str, str] = {}
    for split, names in given.items():
        for one in sorted({_group(name, group) for name in names}):
            if found.setdefault(one, split) != split:
                raise ValueError(
                    f"`group` is {group!r}, but {one!r} is in both `{found[one]}` and "
                    f"`{split}` of {root}: move its files to one of them, or omit "
                    "`group`."
                )


def _group(name: str, group: str) -> str:
    pattern = group if "(" in group else rf"{re.escape(group)}[-_= ]?([^-_. /]+)"
    try:
        found = re.search(pattern, name)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"`group` is {group!r}, which is no regular expression: {error}."
        ) from None
    if found is not None and not found.re.groups:
        raise ValueError(
            f"`group` is {group!r}, but must hold what it finds in parentheses."
        )
    if found is None or found[1] is None:
        raise ValueError(f"`group` is {group!r}, which finds nothing in {name!r}.")
    return found[1]


def labels_in(
    root: Path,
    names: Sequence[str],
    files: Mapping[str, str],
    classes: Sequence[str],
) -> np.ndarray:
    """The index of the class of each file.

    Args:
        root: The folder.
        names: Files below it.
        files: The result of `list_files`.
        classes: All classes.

    Returns:
        One index per name.

    Raises:
        ValueError: If a file is no longer there.
    """
    gone = [name for name in names if name not in files]
    if gone:
        raise ValueError(f"{len(gone)} file(s) are no longer in {root}: {gone[0]}, …")
    return np.array([classes.index(files[name]) for name in names], np.int32)
