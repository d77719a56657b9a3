"""A data set by its name: prepared once by TFDS, then read from one file of arrays."""

import contextlib
import dataclasses
import difflib
import importlib
import importlib.util
import io
import math
import os
import re
import socket
import tempfile
import urllib.parse
import urllib.request
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.dataset import Dataset, Origin, Split, input_name
from cnn_jax.data.errors import DamagedError
from cnn_jax.data.folder import load_folder, note_on_lengths, usual_seconds, usual_size
from cnn_jax.data.quiet import quiet
from cnn_jax.data.readers import AudioReader, ImageReader
from cnn_jax.data.splits import WHOLE, check_seed, split_rows
from cnn_jax.data.table import SUFFIXES, load_table

NUMBER = (*WHOLE, float, np.floating)
# What TFDS raises where it has no code, or no TensorFlow, to make or read a set.
UNSUPPORTED = (ImportError, NotImplementedError, AssertionError)


def load(
    name: str | Path,
    *,
    label: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    size: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    broken: float = 0.01,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Dataset:
    """Loads a data set: one of ours, TensorFlow's, or your own files.

    `xo`, `xo/hard`, `xo/clean_14`, `digits`, `synthetic_digits` and
    `synthetic_digits/other_engine` need no network. A folder is read as
    `folder.load_folder` says, a `.csv` file as `table.load_table` does. Any other name
    is looked up in TensorFlow Datasets, and read if it is prepared in `data_dir` or can
    be downloaded.

    Sets with a name are kept in one file of arrays under `data_dir`, which is all that
    is read the next time. One that is half-written or damaged is built again, with a
    warning.

    Args:
        name: Of the data set, the folder or the file.
        label: The column of a table that is to be told from the others.
        group: What is kept apart: a column of a table, or a part of file names.
        drop: Columns of a table that are left out.
        size: Height and width that pictures are brought to.
        rate: Samples per second that sounds are brought to.
        seconds: The length that sounds are cut or filled up to.
        broken: The largest share of files that may be broken.
        seed: Of the splits, where they are not given.
        data_dir: Where named sets lie; by default `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        Its splits and the names of its classes.

    Raises:
        TypeError: If the name or an option is of another type.
        ValueError: If there is no such data set, it is not one of labelled pictures,
            sounds or rows, or an option is out of range or does not belong to its kind.
        FileNotFoundError: If it is neither there nor can be downloaded; the message
            says how to get it.
    """
    _check_text("name", name, (str, Path))
    path = Path(name).expanduser()
    splits: dict[str, Any] = {"group": group, "seed": seed}
    fitted: dict[str, Any] = {"size": size, "rate": rate, "seconds": seconds}
    table: dict[str, Any] = {"label": label, "drop": drop}
    for option, value in fitted.items():
        if value is not None:
            _check_positive(option, value, whole=option != "seconds")
    for option, value in (("label", label), ("group", group)):
        if value is not None:
            _check_text(option, value)
    _check_drop(drop)
    _check_broken(broken)
    check_seed(seed)
    named = not str(name) or str(name).split("/")[0] in VERSIONS
    if path.is_dir() and not named:
        _only("a folder", table)
        return load_folder(path, **splits, **fitted, broken=broken)
    if path.suffix.lower() in SUFFIXES:
        _only("a table", fitted)
        return load_table(path, **splits, **table)
    _only("a named set", table | {"group": group})
    return _named(str(name), fitted, seed, data_dir)


def _check_text(option: str, value: Any, kinds: type | tuple[type, ...] = str) -> None:
    if not isinstance(value, kinds):
        raise TypeError(f"`{option}` is {value!r}, but must be text.")
    if not value and option != "name":
        raise ValueError(f"`{option}` is empty; leave it out, or name one.")


def _check_positive(option: str, value: Any, *, whole: bool) -> None:
    kinds, said = (WHOLE, "a whole number") if whole else (NUMBER, "a number")
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"`{option}` is {value!r}, but must be {said}.")
    if not 0 < value < math.inf:
        raise ValueError(f"`{option}` is {value}, but must be above 0 and finite.")


def _check_drop(drop: Any) -> None:
    if isinstance(drop, str) or not isinstance(drop, Sequence):
        raise TypeError(f"`drop` is {drop!r}, but must be a list of columns.")
    for column in drop:
        _check_text("drop", column)


def _check_broken(broken: Any) -> None:
    if not isinstance(broken, NUMBER) or isinstance(broken, bool):
        raise TypeError(f"`broken` is {broken!r}, but must be a number.")
    if not 0 <= broken <= 1:
        raise ValueError(f"`broken` is {broken}, but a share is from 0 to 1.")


def _only(what: str, others: dict[str, Any]) -> None:
    """Refuses options of another kind of data."""
    for name, value in others.items():
        if value:
            raise ValueError(f"`{name}` is {value!r}, which {what} has no use for.")


def _named(
    name: str, fitted: dict[str, Any], seed: int, data_dir: str | Path | None
) -> Dataset:
    """A set with a name, from its file of arrays if there is one."""
    root = _root(data_dir)
    cache = _cache(name, root, fitted, seed)
    if cache.exists():
        try:
            return _sized(_read(cache), fitted["size"])
        except DamagedError as error:
            warnings.warn(
                f"{cache} is damaged ({error}) and is built again", stacklevel=3
            )
    with quiet():
        make = _from_own if name.split("/")[0] in VERSIONS else _from_tfds
        data = make(name, root, fitted, seed)
    _write(cache, data)
    return _sized(data, fitted["size"])


def _cache(name: str, root: Path, fitted: dict[str, Any], seed: int) -> Path:
    """The file of a set's arrays, named after all that they depend on."""
    asked = {option: value for option, value in fitted.items() if value}
    base = name.split("/")[0]
    if base in VERSIONS:  # Its pictures are brought to a size when they are read.
        full = f"{name}/{VERSIONS[base]}"
        asked.pop("size", None)
    else:  # Its splits may have to be drawn.
        full, asked["seed"] = _full_name(name, root), seed
    said = "".join(f"-{option}{value}" for option, value in asked.items())
    return root / "cnn_jax" / f"{re.sub('[/:]', '-', full)}{said}.npz"


def _sized(data: Dataset, size: int | None) -> Dataset:
    """Images of another size, if that is asked for; and how to read more of them."""
    if input_name(data.train) == "signal":
        _only("a set of sounds", {"size": size})
        return data
    *now, channels = data.shape
    if size is not None and [size, size] != now:
        reader = ImageReader((size, size), channels)
        splits: Any = {
            name: {"image": _resized(split["image"], reader), "label": split["label"]}
            for name, split in data.splits().items()
        }
        data = dataclasses.replace(data, **splits)
    *now, channels = data.shape
    if channels not in (1, 3):
        return data
    reader = ImageReader((now[0], now[1]), channels)
    return dataclasses.replace(data, origin=Origin(reader, {}))


def _resized(images: np.ndarray, reader: ImageReader) -> np.ndarray:
    if images.dtype == np.uint8:
        return np.stack([reader.fit(image) for image in images])
    return np.asarray(jax.image.resize(images, (len(images), *reader.shape), "cubic"))


def _read(cache: Path) -> Dataset:
    """The set in a cache file.

    All bytes are read before they are parsed: an error of the system comes from reading
    and is raised as it is, any error of parsing means damage.
    """
    with open(cache, "rb") as file:
        content = io.BytesIO(file.read())
    try:
        return _parsed(content)
    except MemoryError:
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds.
        raise DamagedError(str(error) or repr(error)) from error


def _parsed(content: io.BytesIO) -> Dataset:
    """The arrays of a zip file, which holds a checksum of each."""
    splits: dict[str, Any] = {}
    with np.load(content) as arrays:
        for key in arrays.files:
            if "/" in key:
                split, field = key.split("/")
                splits.setdefault(split, {})[field] = arrays[key]
        data = Dataset(**splits, classes=tuple(map(str, arrays["classes"])))
        if "sounds" not in arrays.files:
            return data
        rate, samples = map(int, arrays["sounds"])
        notes = tuple(map(str, arrays["notes"]))
    return dataclasses.replace(
        data, origin=Origin(AudioReader(rate, samples), {}, {}, notes)
    )


def _write(cache: Path, data: Dataset) -> None:
    """Writes all or nothing: a file appears under its name when it is whole."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"classes": np.array(data.classes)}
    if data.origin is not None and isinstance(data.origin.reader, AudioReader):
        reader = data.origin.reader
        arrays["sounds"] = np.array([reader.rate, reader.samples])
        arrays["notes"] = np.array(data.origin.notes, str)
    for name, split in data.splits().items():
        arrays |= {f"{name}/{field}": array for field, array in split.items()}
    written = cache.with_name(f"tmp-{uuid.uuid4().hex}-{cache.name}")
    try:
        with open(written, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        os.replace(written, cache)
    finally:
        written.unlink(missing_ok=True)


def _from_own(name: str, root: Path, fitted: dict[str, Any], seed: int) -> Dataset:
    """One of the project's own sets, made elsewhere if the prepared one is damaged."""
    base, _, config = name.partition("/")
    module = importlib.import_module(
        f"cnn_jax.data.builders.{base}.{base}_dataset_builder"
    )
    known = sorted(module.Builder.builder_configs)
    if config and config not in known:
        raise ValueError(
            f"there is no {name!r}; {base!r} has {known or 'no variants'}."
        )
    builder = module.Builder(data_dir=tempfile.gettempdir(), config=config or None)
    _check_options(builder.info.features, fitted)
    if importlib.util.find_spec("array_record") is None:
        return _dataset(builder, _generated(builder), fitted, seed)
    try:
        return _made(module.Builder, root, config, fitted, seed)
    except Exception as error:  # array_record and TFDS have no kind for damage.
        if isinstance(error, MemoryError) or (
            isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        ):
            raise
        warnings.warn(
            f"{root / base / config} is damaged ({error}) and is made again elsewhere; "
            "it stays as it is: remove it to have it prepared anew.",
            stacklevel=3,
        )
        with tempfile.TemporaryDirectory() as folder:
            return _made(module.Builder, Path(folder), config, fitted, seed)


def _made(
    builder_class: Any, root: Path, config: str, fitted: dict[str, Any], seed: int
) -> Dataset:
    builder = builder_class(data_dir=root, config=config or None)
    return _dataset(builder, _prepared(builder), fitted, seed)


def _check_known(name: str) -> None:
    """Refuses a name that TFDS does not have."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    base = name.split("/")[0].split(":")[0]
    if base not in known:
        close = difflib.get_close_matches(base, [*VERSIONS, *known])
        raise ValueError(
            f"there is no data set {name!r}, neither here ({', '.join(VERSIONS)}) nor "
            f"in TensorFlow Datasets{'; close: ' + ', '.join(close) if close else ''}, "
            "nor is it a folder or a CSV file."
        )


def _from_tfds(name: str, root: Path, fitted: dict[str, Any], seed: int) -> Dataset:
    with _explained(name, root, *UNSUPPORTED):
        builder = _builder(name, root)
    if not builder.is_prepared():
        with _explained(name, root, OSError, *UNSUPPORTED):
            _check_network(builder)
            _prepare(builder)
    with _explained(name, root, *UNSUPPORTED):
        sources = builder.as_data_source()
    return _dataset(builder, sources, fitted, seed)


def _builder(name: str, root: Path) -> Any:
    """What TFDS makes a set with; raises ValueError if it has no such set."""
    import tensorflow_datasets as tfds

    _check_known(name)
    try:
        return tfds.builder(name, data_dir=root)
    except (ValueError, tfds.core.DatasetNotFoundError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ValueError(f"there is no data set {name!r}: {reason}") from error


@contextlib.contextmanager
def _explained(name: str, root: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds into one that says how to get the set."""
    try:
        yield
    except kinds as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise FileNotFoundError(
            f"{name!r} is not prepared in {root}, nor can it be here: {reason} Where "
            "there is a network, install the extra `cnn_jax[tensorflow]`, run `tfds "
            f"build {name} --file_format=array_record`, and point TFDS_DATA_DIR to its "
            "folder."
        ) from error


def _full_name(name: str, root: Path) -> str:
    """The name with its variant and version, as in `mnist/3.0.1`.

    Where TFDS cannot make the builder, for want of TensorFlow, the newest prepared
    version counts.
    """
    try:
        with quiet():
            return _builder(name, root).info.full_name
    except UNSUPPORTED:
        folder = root / name.replace(":", "/")
        found = [path.parent.name for path in folder.glob("*/dataset_info.json")]
        newest = sorted(found, key=lambda text: [*map(int, re.findall(r"\d+", text))])
        return "/".join([name, *newest[-1:]])


def prepared(data_dir: str | Path | None = None) -> list[str]:
    """The sets that TensorFlow Datasets has prepared.

    Args:
        data_dir: Where they lie; by default `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        Their names, with their configurations.
    """
    root = _root(data_dir)
    found = {path.parent.relative_to(root) for path in root.rglob("dataset_info.json")}
    names = sorted(str(path.parent) for path in found)
    return [name for name in names if name.split("/")[0] not in VERSIONS]


def _root(data_dir: str | Path | None) -> Path:
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return Path(root).expanduser()


def _check_network(builder: Any) -> None:
    """Fails at once where TFDS would try ten times, for minutes."""
    urls = list(getattr(builder, "url_infos", {}))
    host = urllib.parse.urlsplit(urls[0]).hostname if urls else None
    if host is None or urllib.request.getproxies():
        return
    try:
        socket.create_connection((host, 443), timeout=10).close()
    except OSError as error:
        raise OSError(
            f"{host} cannot be reached ({error.strerror or error})."
        ) from None


def _prepared(builder: Any) -> dict[str, Any]:
    """The examples of each split, prepared if they are not."""
    _prepare(builder)
    return builder.as_data_source()


def _prepare(builder: Any) -> None:
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(file_format=tfds.core.FileFormat.ARRAY_RECORD)


def _generated(builder: Any) -> dict[str, Any]:
    """The examples as the builder makes them, where array_record has no wheel."""
    features = builder.info.features
    return {
        split: [
            features.decode_example_np(features.encode_example(example))
            for _, example in examples
        ]
        for split, examples in builder._split_generators(None).items()
    }


def _dataset(
    builder: Any, sources: dict[str, Any], fitted: dict[str, Any], seed: int
) -> Dataset:
    """Arrays of labelled pictures or sounds, and splits as given, or dealt out."""
    features = builder.info.features
    kinds = {"image", "audio"} & set(features)
    label = dict(features).get("label")
    if len(kinds) != 1 or not hasattr(label, "names"):
        raise ValueError(
            f"{builder.name!r} has {features}, but an `image` or `audio` and a `label` "
            "of one of several classes are needed."
        )
    kind = kinds.pop()
    _check_options(features, fitted)
    reader = _reader(kind, features[kind], sources, fitted)
    rate = getattr(features[kind], "sample_rate", 0)
    parts, lengths = {}, []
    for name, source in sources.items():
        parts[name], its = _arrays(kind, rate, source, reader)
        lengths += its
    splits = _parts(parts, seed)
    classes = tuple(features["label"].names)
    origin = None
    if isinstance(reader, AudioReader):
        seconds = [length / rate for length in lengths]
        note = note_on_lengths(seconds, reader.samples / reader.rate)
        origin = Origin(reader, {}, notes=(note,))
    return Dataset(**splits, classes=classes, origin=origin)


def _check_options(features: Any, fitted: dict[str, Any]) -> None:
    """Refuses a rate of pictures, and a height of sounds."""
    if "audio" in features:
        _only("a set of sounds", {"size": fitted["size"]})
    else:
        others = {name: fitted[name] for name in ("rate", "seconds")}
        _only("a set of pictures", others)


def _reader(
    kind: str, feature: Any, sources: dict[str, Any], fitted: dict[str, Any]
) -> ImageReader | AudioReader | None:
    """What brings examples to one size; None where they are."""
    if kind == "image" and None not in feature.shape:
        return None
    source = next(iter(sources.values()))
    some = [source[row][kind] for row in range(0, len(source), 1 + len(source) // 200)]
    if kind == "image":
        size = fitted["size"] or usual_size([min(x.shape[:2]) for x in some])
        return ImageReader((size, size), some[0].shape[-1])
    if not feature.sample_rate:
        raise ValueError("its sounds have no sample rate, so they cannot be read.")
    rate = fitted["rate"] or feature.sample_rate
    lengths = [len(wave) / feature.sample_rate for wave in some]
    seconds = fitted["seconds"] or usual_seconds(lengths)
    return AudioReader(rate, math.ceil(seconds * rate))


def _arrays(
    kind: str, rate: int, source: Any, reader: ImageReader | AudioReader | None
) -> tuple[Split, list[int]]:
    """All examples, read as they should be, and how long they were before."""
    inputs, labels, lengths = [], [], []
    for example in source:
        x = example[kind]
        lengths.append(len(x))
        if isinstance(reader, AudioReader):
            whole = np.issubdtype(x.dtype, np.integer)
            x = reader.fit(x / 32768 if whole else x, rate)
        elif reader is not None:
            x = reader.fit(x)
        inputs.append(x)
        labels.append(example["label"])
    name = "signal" if kind == "audio" else "image"
    split = {name: np.stack(inputs), "label": np.array(labels, np.int32)}
    return split, lengths


def _parts(parts: dict[str, Split], seed: int) -> dict[str, Split]:
    """`train`, `test` and `validation`, as far as they are there; or dealt out."""
    known = {n: parts[n] for n in ("train", "validation", "test") if n in parts}
    if "train" in known and len(known) > 1:
        if "test" not in known:
            known["test"] = known.pop("validation")
        return known
    whole = known.get("train") or next(iter(parts.values()))
    dealt = split_rows(whole["label"], seed=seed)
    return {n: {k: a[rows] for k, a in whole.items()} for n, rows in dealt.items()}
