"""A folder of images or audio files: one subfolder per class."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset, Origin
from cnn_jax.data.files import AHEAD, WORKERS, check_broken, read_split, remarks
from cnn_jax.data.input_size import bytes_of, check_inputs
from cnn_jax.data.readers import AUDIO_SUFFIXES, IMAGE_SUFFIXES, Framing, Reader
from cnn_jax.data.sizes import reader_for
from cnn_jax.data.splits import split_rows

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
    broken: float = 0.01,
    seed: int = 0,
    reader: Reader | None = None,
    splits: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """Reads a folder with one subfolder per class.

    Every file is read once, so that broken files are known before training. Inputs that
    fit into memory stay there; others are read again when they are needed. Subfolders
    `train`, `test` and `validation` that hold the class folders are used as splits.

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
        reader: Reads the files, where it is known.
        splits: The files of each split, where they are known.

    Returns:
        Images as bytes or audio as samples, with classes in alphabetical order.

    Raises:
        ValueError: If the folder has another layout, or too many files are broken.
    """
    root = Path(root)
    files, notes = list_files(root), []
    if reader is None:
        paths = [root / name for name in files]
        form: Any = {"size": size, "rate": rate, "seconds": seconds}
        reader, notes = reader_for(paths, **form, framing=framing)
    splits = splits or _splits(root, files, group, seed)
    classes = tuple(sorted(set(files.values())))
    count = sum(map(len, splits.values()))
    keep = count * bytes_of(reader) <= IN_MEMORY
    held = 2 * count if keep else min(count, AHEAD)
    check_inputs(root, reader, held, workers=WORKERS)
    read, bad, odd, valid = {}, {}, {}, {}
    for split, names in splits.items():
        labels = labels_in(root, names, files, classes)
        read[split], own_bad, own_odd = read_split(
            root, names, labels, reader, keep=keep
        )
        bad, odd = bad | own_bad, odd | own_odd
        valid[split] = tuple(name for name in names if name not in own_bad)
    check_broken(root, count, bad, broken)
    notes = (*notes, *remarks(odd))
    origin = Origin(reader, valid, broken=bad, notes=notes)
    return Dataset(**read, classes=classes, origin=origin)


def list_files(root: Path) -> dict[str, str]:
    """The class of each file, by its name below the folder.

    Args:
        root: A folder with one subfolder per class, or one per split and class.

    Returns:
        Names in alphabetical order, without hidden files.

    Raises:
        ValueError: If there are fewer than two classes, one is empty, two differ in
            case only, files lie beside them, or there are both images and audio.
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
    lowered = Counter(path.name.lower() for path in classes)
    alike = [path.name for path in classes if lowered[path.name.lower()] > 1]
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
    if alike:
        raise ValueError(
            f"{parent} has {' and '.join(alike)}: classes that differ in "
            "case only; rename or join them."
        )
    found = {}
    for folder in classes:
        files = [f for f in sorted(folder.rglob("*")) if f.is_file() and shown(f)]
        if not files:
            raise ValueError(f"{folder} is a class without files; fill or remove it.")
        found |= {file.relative_to(root).as_posix(): folder.name for file in files}
    return found


def _splits(
    root: Path, classes: Mapping[str, str], group: str | None, seed: int
) -> dict[str, list[str]]:
    """The files of each split: those of the folder, or random ones."""
    names = list(classes)
    given: dict[str, list[str]] = {}
    for name in names if _parts(root) else ():
        given.setdefault(SPLITS[Path(name).parts[0].lower()], []).append(name)
    if len(given) < 2:
        groups = None if group is None else [_group(name, group) for name in names]
        rows = split_rows(list(classes.values()), groups=groups, seed=seed)
        return {split: [names[row] for row in own] for split, own in rows.items()}
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
