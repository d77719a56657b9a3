"""The examples of a run, found again in data that may have changed since."""

import warnings
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cnn_jax.data import fingerprint
from cnn_jax.trained.splits import Known, read_broken, read_known

REMEDY = "Undo the change, or train again."


def warn_of_training(folder: str | Path, path: Path, present: Sequence[str]) -> None:
    """Warns of examples that a run was trained on, and among them is evaluated.

    Args:
        folder: The run folder.
        path: The other data.
        present: Their fingerprints.
    """
    exists = (Path(folder) / "splits.json").is_file()
    known = read_known(folder).fingerprints if exists else None
    own = set() if known is None else {*known["train"], *known.get("validation", ())}
    count = sum(one in own for one in present)
    if count:
        warnings.warn(
            f"{count:,} of {len(present):,} examples of {path} were used in the "
            f"training of {folder}: the result on them says nothing about new ones.",
            stacklevel=4,
        )


def match(
    wanted: Mapping[str, Sequence[str]], present: Iterable[tuple[int, str]]
) -> dict[str, list[int | None]]:
    """The position of each fingerprint; a position is used once.

    Args:
        wanted: The fingerprints of each split.
        present: Positions and the fingerprints there.

    Returns:
        Positions, None for what is not there.

    Example:
        >>> match({"test": ["b", "a", "b"]}, [(0, "a"), (1, "b")])
        {'test': [1, 0, None]}
    """
    left: dict[str, deque[int]] = defaultdict(deque)
    for at, one in present:
        left[one].append(at)
    return {
        split: [left[one].popleft() if left.get(one) else None for one in own]
        for split, own in wanted.items()
    }


def find_rows(
    folder: str | Path,
    path: Path,
    known: Known,
    present: Sequence[str],
    splits: Sequence[str],
) -> dict[str, list[int]]:
    """The rows of some splits of a run in its table, whatever their order is now.

    Args:
        folder: The run folder.
        path: The table.
        known: The rows and their fingerprints.
        present: The fingerprints of all rows of the table.
        splits: The splits that are needed.

    Returns:
        Rows, counted from 0, in the order of the training.

    Raises:
        ValueError: If a row is gone or altered; the message names it.
    """
    names = {split: known.names[split] for split in splits}
    if known.fingerprints is None:
        _warn_unchecked(folder, path)
        return {
            split: _numbers(folder, path, split, own, len(present))
            for split, own in names.items()
        }
    found = match({s: known.fingerprints[s] for s in splits}, enumerate(present))
    gone = {
        split: [f"row {names[split][i]}" for i, at in enumerate(own) if at is None]
        for split, own in found.items()
    }
    _refuse_changes(path, "rows", gone, names)
    used = match(known.fingerprints, enumerate(present))
    count = sum(at is not None for own in used.values() for at in own)
    _warn_of_others(folder, path, "row", len(present) - count)
    return {s: [at for at in own if at is not None] for s, own in found.items()}


def find_files(
    folder: str | Path,
    root: Path,
    known: Known,
    files: Mapping[str, str],
    splits: Sequence[str],
) -> dict[str, list[str]]:
    """The files of some splits of a run in its folder, also if they were renamed.

    Args:
        folder: The run folder.
        root: The folder of files.
        known: The files and their fingerprints.
        files: The class of each file that is there, by its name.
        splits: The splits that are needed.

    Returns:
        Names in the order of the training.

    Raises:
        ValueError: If a file is gone, altered or in another class; it is named.
    """
    names = {split: known.names[split] for split in splits}
    if known.fingerprints is None:
        _warn_unchecked(folder, root)
        gone = {s: [n for n in own if n not in files] for s, own in names.items()}
        _refuse_changes(root, "files", gone, names)
        return names
    prints = {split: known.fingerprints[split] for split in splits}
    found = _by_content(root, prints, names, files)
    gone = {
        split: [n for n, now in zip(names[split], own, strict=True) if now is None]
        for split, own in found.items()
    }
    _refuse_changes(root, "files", gone, names)
    result = {s: [now for now in own if now is not None] for s, own in found.items()}
    own = {
        name for group in (*known.names.values(), *result.values()) for name in group
    }
    others = files.keys() - own - read_broken(folder).keys()
    _warn_of_others(folder, root, "file", len(others))
    return result


def _by_content(
    root: Path,
    prints: Mapping[str, Sequence[str]],
    names: Mapping[str, Sequence[str]],
    files: Mapping[str, str],
) -> dict[str, list[str | None]]:
    """The file of each fingerprint: under its own name, or else under any other."""
    own = {name for group in names.values() for name in group if name in files}
    now = fingerprints_of_files(root, own, files)
    pairs = {
        name: one
        for split, group in names.items()
        for name, one in zip(group, prints[split], strict=True)
    }
    kept = {name for name, one in pairs.items() if now.get(name) == one}
    sizes = {one.split(":")[0] for name, one in pairs.items() if name not in kept}
    others = [
        name
        for name in files
        if sizes and name not in kept and str((root / name).stat().st_size) in sizes
    ]
    now |= fingerprints_of_files(root, set(others) - own, files)
    left = {s: [pairs[n] for n in group if n not in kept] for s, group in names.items()}
    found = match(left, ((i, now[name]) for i, name in enumerate(others)))
    rest = {s: iter(group) for s, group in found.items()}
    return {
        split: [
            name if name in kept else _named(next(rest[split]), others)
            for name in group
        ]
        for split, group in names.items()
    }


def _named(at: int | None, names: Sequence[str]) -> str | None:
    return None if at is None else names[at]


def fingerprints_of_files(
    root: Path, names: Iterable[str], files: Mapping[str, str]
) -> dict[str, str]:
    """The size, a digest of the content and the class of each file.

    Args:
        root: The folder.
        names: Files below it.
        files: The class of each.
    """
    found = fingerprint.of_files(root, names)
    return {name: f"{content}:{files[name]}" for name, content in found.items()}


def _numbers(
    folder: str | Path, path: Path, split: str, names: Sequence[str], count: int
) -> list[int]:
    """Rows of a run of an earlier version, counted from 0."""
    for name in names:
        if not (name.isascii() and name.isdigit() and 1 <= int(name) <= count):
            raise ValueError(
                f"{folder}/splits.json: `{split}` has row {name!r}, but {path} has "
                f"rows 1 to {count:,}. {REMEDY}"
            )
    return [int(name) - 1 for name in names]


def _refuse_changes(
    path: Path,
    kind: str,
    gone: Mapping[str, Sequence[str]],
    names: Mapping[str, Sequence[str]],
) -> None:
    """Refuses data that lack examples of a split, and names the first of them."""
    counts = [
        f"{len(lost):,} of {len(names[split]):,} {kind} of the {split} split"
        for split, lost in gone.items()
        if lost
    ]
    if counts:
        first = next(lost[0] for lost in gone.values() if lost)
        raise ValueError(
            f"{path} has changed since the training: {' and '.join(counts)} are gone, "
            f"altered or in another class, the first of them {first}. {REMEDY}"
        )


def _warn_unchecked(folder: str | Path, path: Path) -> None:
    warnings.warn(
        f"{folder}/splits.json has no fingerprints, as in runs of earlier versions: it "
        f"is not checked whether {path} has changed since the training.",
        stacklevel=4,
    )


def _warn_of_others(folder: str | Path, path: Path, kind: str, count: int) -> None:
    if count:
        warnings.warn(
            f"{count:,} {kind}(s) of {path} are in no split of {folder}, and are not "
            "used.",
            stacklevel=4,
        )
