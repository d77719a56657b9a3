"""A folder of pictures or sounds: one subfolder per class."""

import contextlib
import math
import re
import statistics
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset, Origin, Split
from cnn_jax.data.errors import SYSTEM, raise_if_system
from cnn_jax.data.readers import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    AudioReader,
    ImageReader,
    Reader,
    open_audio,
    open_image,
)
from cnn_jax.data.splits import split_rows

IN_MEMORY = 2**30  # Bytes up to which decoded files are kept in arrays.
SIZES = (32, 64, 128)  # Of pictures, where none is asked for.
HIGHEST_RATE, LONGEST = 22_050, 10.0  # Of sounds, where nothing else is asked for.
WORKERS, AHEAD = 4, 64  # Threads that read, and files that are read ahead.
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


@dataclass(frozen=True, eq=False)
class Files:
    """Files that are read when they are asked for; equal to itself alone."""

    root: Path
    names: tuple[str, ...]
    labels: np.ndarray
    reader: Reader

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> dict[str, Any]:
        found = self.reader.read(self.root / self.names[row])
        return {self.reader.kind: found, "label": self.labels[row]}


def load_folder(
    root: str | Path,
    *,
    size: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    group: str | None = None,
    broken: float = 0.01,
    seed: int = 0,
    reader: Reader | None = None,
    splits: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """Reads a folder with one subfolder per class.

    Every file is read once, so that what is broken is known before anything is learned.
    What fits into memory stays there; what does not is read again when it is its turn.
    Subfolders called `train`, `test` and `validation` that hold those of the classes
    are taken as they are.

    Args:
        root: The folder.
        size: Height and width of pictures; by default 32, 64 or 128, whichever the
            shorter sides of most of them come to.
        rate: Samples per second of sounds; by default the most common one, up to
            22,050.
        seconds: Their length; by default as long as nineteen in twenty of them are, up
            to 10.
        group: What is kept apart, from the name of a file: `speaker` finds what follows
            this word, as in `speaker-3_yes.wav`; a regular expression with parentheses
            finds what is between them.
        broken: The largest share of files that may be broken.
        seed: Of the splits.
        reader: How files are read, where it is known.
        splits: Which files are in which split, where it is known.

    Returns:
        Images as bytes, or sounds as samples, with classes in alphabetical order.

    Raises:
        ValueError: If there is no such layout, or too much is broken.
    """
    root = Path(root)
    files, notes = list_files(root), []
    if reader is None:
        reader, notes = _chosen(
            root, list(files), size=size, rate=rate, seconds=seconds
        )
    splits = splits or _splits(root, files, group, seed)
    classes = tuple(sorted(set(files.values())))
    used = sum(map(len, splits.values()))
    keep = used * _bytes(reader) <= IN_MEMORY
    made, bad, odd, whole = {}, {}, {}, {}
    for split, its in splits.items():
        labels = labels_in(root, its, files, classes)
        made[split], broke, strange = read_split(root, its, labels, reader, keep=keep)
        bad, odd = bad | broke, odd | strange
        whole[split] = tuple(name for name in its if name not in broke)
    notes += counted(odd)
    check_broken(root, used, bad, broken)
    origin = Origin(reader, whole, broken=bad, notes=tuple(notes))
    return Dataset(**made, classes=classes, origin=origin)


def list_files(root: Path) -> dict[str, str]:
    """The files of all classes, by their names below the folder, and their classes.

    Args:
        root: A folder with one subfolder per class, or one per split and class.

    Returns:
        Names in alphabetical order; hidden files are left out.

    Raises:
        ValueError: If there are fewer than two classes, one is empty, two differ in
            case only, files lie beside them, or there are both pictures and sounds.
    """
    found: dict[str, str] = {}
    for parent in [root / part for part in _parts(root)] or [root]:
        found |= _listed(root, parent)
    suffixes = Counter(Path(name).suffix.lower() for name in found)
    pictures = sum(suffixes[suffix] for suffix in IMAGE_SUFFIXES)
    sounds = sum(suffixes[suffix] for suffix in AUDIO_SUFFIXES)
    if bool(pictures) == bool(sounds):
        raise ValueError(
            f"{root} has {pictures} picture(s) and {sounds} sound(s) by their suffixes "
            f"({', '.join(sorted(suffixes))}), but files of one kind are expected: "
            f"{' '.join(sorted(IMAGE_SUFFIXES))} or {' '.join(sorted(AUDIO_SUFFIXES))}."
        )
    return found


def _parts(root: Path) -> list[str]:
    """The subfolders `train`, `test` and the like, if there are none but these."""
    names = [path.name for path in root.iterdir() if path.is_dir() and shown(path)]
    kinds = [SPLITS.get(name.lower()) for name in names]
    return sorted(names) if "train" in kinds and None not in kinds else []


def shown(path: Path) -> bool:
    """Whether a file is one of the data, not one that a system keeps beside them."""
    return not path.name.startswith(".") and path.name.lower() not in IGNORED


def _listed(root: Path, parent: Path) -> dict[str, str]:
    """The files of all classes in a folder, which must have the layout."""
    inside = sorted(filter(shown, parent.iterdir()))
    classes = [path for path in inside if path.is_dir()]
    beside = [path.name for path in inside if not path.is_dir()]
    lowered = Counter(path.name.lower() for path in classes)
    alike = [path.name for path in classes if lowered[path.name.lower()] > 1]
    expected = "one subfolder per class with nothing beside them is expected"
    if len(classes) < 2:
        what = f"the class(es) {', '.join(p.name for p in classes) or 'none'}"
        raise ValueError(
            f"{parent} has {what}, but two at least are needed: {expected}."
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
    """Which files are in which split: as the folder says, or dealt out."""
    names = list(classes)
    given: dict[str, list[str]] = {}
    for name in names if _parts(root) else ():
        given.setdefault(SPLITS[Path(name).parts[0].lower()], []).append(name)
    if len(given) < 2:
        groups = None if group is None else [_group(name, group) for name in names]
        dealt = split_rows(list(classes.values()), groups=groups, seed=seed)
        return {split: [names[row] for row in rows] for split, rows in dealt.items()}
    if group is not None:
        _check_apart(root, given, group)
    if "test" not in given:
        given["test"] = given.pop("validation")
    learned = {classes[name] for name in given["train"]}
    other = sorted(set(classes.values()) - learned)
    if other:
        raise ValueError(f"{root} has no {other[0]!r} in its `train`, only elsewhere.")
    return given


def _check_apart(root: Path, given: Mapping[str, list[str]], group: str) -> None:
    """Refuses splits of a folder that share a group."""
    found: dict[str, str] = {}
    for split, names in given.items():
        for one in sorted({_group(name, group) for name in names}):
            if found.setdefault(one, split) != split:
                raise ValueError(
                    f"`group` is {group!r}, but {one!r} is in both `{found[one]}` and "
                    f"`{split}` of {root}: move its files to one of them, or leave "
                    "`group` out."
                )


def _group(name: str, group: str) -> str:
    pattern = group if "(" in group else rf"{re.escape(group)}[-_= ]?([^-_. /]+)"
    try:
        found = re.search(pattern, name)
    except re.error as error:
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


def _bytes(reader: Reader) -> int:
    width = 1 if reader.kind == "image" else 4
    return width * int(np.prod(reader.shape))


def labels_in(
    root: Path,
    names: Sequence[str],
    files: Mapping[str, str],
    classes: Sequence[str],
) -> np.ndarray:
    """The class of each file, as numbers.

    Args:
        root: The folder.
        names: Of files below it.
        files: What `list_files` found there.
        classes: Into which the numbers count.

    Returns:
        One whole number per name.

    Raises:
        ValueError: If a file is no longer there.
    """
    gone = [name for name in names if name not in files]
    if gone:
        raise ValueError(f"{len(gone)} file(s) are no longer in {root}: {gone[0]}, …")
    return np.array([classes.index(files[name]) for name in names], np.int32)


def read_split(
    root: Path,
    names: Sequence[str],
    labels: np.ndarray,
    reader: Reader,
    *,
    keep: bool = True,
) -> tuple[Split | Files, dict[str, str], dict[str, str]]:
    """Reads files and their classes.

    Args:
        root: The folder.
        names: Of the files, below it.
        labels: The class of each.
        reader: What reads them.
        keep: Whether to keep what was read in arrays, or to read it again when needed.

    Returns:
        The split, what is broken in it, and what is odd: names and reasons.
    """
    read, bad, odd = [], {}, {}
    paths = [root / name for name in names]
    for name, found in zip(names, attempts(reader, paths), strict=True):
        if isinstance(found, Exception):
            bad[name] = reason(found)
            continue
        if remark := reader.remark(found):  # pyright: ignore[reportAttributeAccessIssue]
            odd[name] = remark
        if keep:
            read.append(found)
    good = np.array([name not in bad for name in names], bool)
    labels = labels[good]
    if not keep:
        whole = tuple(name for name in names if name not in bad)
        return Files(root, whole, labels, reader), bad, odd
    empty = np.zeros((0, *reader.shape), np.float32)
    split = {reader.kind: np.stack(read) if read else empty, "label": labels}
    return split, bad, odd


def counted(odd: Mapping[str, str]) -> list[str]:
    """A note for each kind of what is odd: how many files, and the first of them."""
    kinds: dict[str, list[str]] = {}
    for name, why in odd.items():
        kinds.setdefault(why, []).append(name)
    return [f"{len(its):,} {why}, such as {its[0]}" for why, its in kinds.items()]


def attempts(reader: Reader, paths: Iterable[Path]) -> Iterator[np.ndarray | Exception]:
    """Reads files ahead of their use, and goes on past what cannot be read.

    Args:
        reader: What reads them.
        paths: Of the files; only a few are held at a time.

    Yields:
        For each what was read, or why it could not be.
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


@contextlib.contextmanager
def _skip_broken() -> Iterator[None]:
    """Goes on past a broken file, which is named when all are read."""
    try:
        yield
    except Exception as error:  # Pillow raises whatever its decoders do.
        raise_if_system(error, codes=SYSTEM)


def reason(error: Exception) -> str:
    """Why a file could not be read, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (str(error).strip() or repr(error)).splitlines()[0]
    return "no picture that can be read" if "cannot identify" in text else text


def check_broken(root: Path, files: int, bad: Mapping[str, str], broken: float) -> None:
    """Refuses more broken files than are allowed, and names those that are.

    Args:
        root: The folder.
        files: How many there are.
        bad: Names and reasons.
        broken: The largest share.

    Raises:
        ValueError: If there are more.
    """
    if not bad:
        return
    some = "; ".join(f"{name}: {why}" for name, why in list(bad.items())[:5])
    what = f"{len(bad):,} of {files:,} files in {root} cannot be read ({some}"
    what += f"; and {len(bad) - 5:,} more)" if len(bad) > 5 else ")"
    if len(bad) > broken * files:
        raise ValueError(
            f"{what}, which is more than {broken:.1%}: mend or remove them, or allow "
            "more (`broken`)."
        )
    warnings.warn(f"{what}; they are left out.", stacklevel=4)


def _chosen(
    root: Path,
    names: Sequence[str],
    *,
    size: int | None,
    rate: int | None,
    seconds: float | None,
) -> tuple[Reader, list[str]]:
    """How to read files, from what they are."""
    sounds = sum(Path(name).suffix.lower() in AUDIO_SUFFIXES for name in names)
    if sounds:
        return _sounds([root / name for name in names], rate, seconds)
    return _pictures([root / name for name in names], size)


def _pictures(paths: Sequence[Path], size: int | None) -> tuple[Reader, list[str]]:
    """Grey if all are, and of a size that most of them have."""
    sides, grey = [], True
    for path in paths:  # One late picture in colour makes them all so.
        with _skip_broken(), open_image(path) as image:
            sides.append(min(image.size))
            grey &= image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if not sides:
        raise ValueError(f"none of {len(paths):,} files is a picture that can be read.")
    note = f"shorter sides are {statistics.median(sides):g} pixels in the median"
    size = size or usual_size(sides)
    return ImageReader((size, size), 1 if grey else 3), [note]


def usual_size(sides: Sequence[int]) -> int:
    """Height and width for pictures with these shorter sides."""
    side = statistics.median(sides)
    return max([known for known in SIZES if known <= 1.5 * side], default=SIZES[0])


def usual_seconds(lengths: Sequence[float]) -> float:
    """A length for sounds of these, all of which but one in twenty fit into it."""
    return min(LONGEST, float(np.quantile(lengths, 0.95)))


def _sounds(
    paths: Sequence[Path], rate: int | None, seconds: float | None
) -> tuple[Reader, list[str]]:
    """Of the most common rate, and as long as nearly all of them are."""
    rates, lengths, several = Counter(), [], 0
    for path in paths:
        with _skip_broken(), open_audio(path) as about:
            rates[about.samplerate] += 1
            several += about.channels > 1
            lengths.append(about.frames / about.samplerate)
    if not lengths:
        raise ValueError(f"none of {len(paths):,} files is a sound that can be read.")
    rate = rate or min(HIGHEST_RATE, rates.most_common(1)[0][0])
    seconds = seconds or usual_seconds(lengths)
    samples = max(1, math.ceil(seconds * rate))
    notes = [note_on_lengths(lengths, samples / rate)]
    others = len(lengths) - rates[rate]
    if others:
        notes.append(f"{others:,} of another rate than {rate:,} Hz are resampled")
    if several:
        notes.append(f"{several:,} have more than one channel, and are averaged")
    return AudioReader(rate, samples), notes


def note_on_lengths(lengths: Sequence[float], seconds: float) -> str:
    """What becomes of sounds that are brought to one length."""
    cut = sum(length > seconds for length in lengths)
    return (
        f"{cut:,} of {len(lengths):,} sounds are longer than {seconds:.2f} s and are "
        "cut, shorter ones are followed by silence"
    )
