"""Data sets by name, folder or file."""

import dataclasses
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.cache import read_cache, write_cache
from cnn_jax.data.dataset import Dataset, Origin, input_name, length
from cnn_jax.data.errors import DamagedError
from cnn_jax.data.folder import load_folder
from cnn_jax.data.input_size import check_inputs
from cnn_jax.data.options import (
    check_broken_fraction,
    check_drop,
    check_positive,
    check_text,
    refuse,
)
from cnn_jax.data.own import load_own
from cnn_jax.data.quiet import quiet
from cnn_jax.data.readers import Framing, ImageReader
from cnn_jax.data.splits import check_seed
from cnn_jax.data.streamed import fit_image
from cnn_jax.data.table import SUFFIXES
from cnn_jax.data.table_file import load_table
from cnn_jax.data.tfds import full_name, load_tfds, prepared_names


def load(
    name: str | Path,
    *,
    label: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    size: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    framing: Framing | None = None,
    broken: float = 0.01,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Dataset:
    """Loads a data set: one of ours, TensorFlow's, or your own files.

    `xo`, `xo/hard`, `xo/clean_14`, `digits`, `synthetic_digits` and
    `synthetic_digits/other_engine` need no network. A folder is read as
    `folder.load_folder` says, a `.csv` file as `table_file.load_table` does. Any other
    name is looked up in TensorFlow Datasets, and read if it is prepared in `data_dir`
    or can be downloaded.

    A named data set is kept in one file of arrays under `data_dir`, which is all that
    is read the next time; a damaged file is built again, with a warning. A large one is
    streamed from where TFDS prepared it.

    Args:
        name: The name of the data set, or the path of the folder or file.
        label: The label column of a table.
        group: Keeps examples together in one split: a column of a table, or a part of
            file names.
        drop: Columns of a table that are not used.
        size: Height and width that images are resized to.
        rate: Samples per second that audio is resampled to.
        seconds: The length that audio is cut or padded to.
        framing: `crop`, `pad` or `stretch`: what happens to images in a folder whose
            ratio of height to width is another one.
        broken: The largest fraction of files that may be broken.
        seed: Of the splits, where they are not given.
        data_dir: The folder of named data sets; by default `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        The splits and the names of the classes.

    Raises:
        TypeError: If the name or an option has another type.
        ValueError: If there is no such data set, it has no labelled images, audio or
            rows, or an option is out of range or does not belong to its kind.
        FileNotFoundError: If it can neither be found nor downloaded; the message says
            how to get it.
    """
    check_text("name", name, (str, Path))
    path = Path(name).expanduser()
    splits: dict[str, Any] = {"group": group, "seed": seed}
    form: dict[str, Any] = {"size": size, "rate": rate, "seconds": seconds}
    table: dict[str, Any] = {"label": label, "drop": drop}
    for option, value in form.items():
        if value is not None:
            check_positive(option, value, whole=option != "seconds")
    for option, value in (("label", label), ("group", group)):
        if value is not None:
            check_text(option, value)
    check_drop(drop)
    if label is not None and label in drop:
        raise ValueError(f"`drop` has the label column, {label!r}: leave it out there.")
    if data_dir is not None:
        check_text("data_dir", data_dir, (str, Path))
    check_broken_fraction(broken)
    check_seed(seed)
    named = not str(name) or str(name).split("/")[0] in VERSIONS
    if path.is_dir() and not named:
        refuse("a folder", table)
        return load_folder(path, **splits, **form, framing=framing, broken=broken)
    if path.suffix.lower() in SUFFIXES:
        refuse("a table", form | {"framing": framing})
        return load_table(path, **splits, **table)
    refuse("a named set", table | {"group": group, "framing": framing})
    return _named(str(name), form, seed, data_dir)


def _named(
    name: str, form: dict[str, Any], seed: int, data_dir: str | Path | None
) -> Dataset:
    """A named data set, from its file of arrays if there is one."""
    root = _root(data_dir)
    cache = _cache(name, root, form, seed)
    if cache.exists():
        try:
            return _sized(name, read_cache(cache), form["size"])
        except DamagedError as error:
            warnings.warn(
                f"{cache} is damaged ({error}) and is built again", stacklevel=3
            )
    with quiet():
        make = load_own if name.split("/")[0] in VERSIONS else load_tfds
        data = make(name, root, form, seed)
    if not isinstance(data.train, Mapping):
        return data
    write_cache(cache, data)
    return _sized(name, data, form["size"])


def _cache(name: str, root: Path, form: dict[str, Any], seed: int) -> Path:
    """The file of the arrays of a data set, named after all that they depend on."""
    given = {option: value for option, value in form.items() if value}
    base = name.split("/")[0]
    if base in VERSIONS:  # Its images are resized after reading.
        full = f"{name}/{VERSIONS[base]}"
        given.pop("size", None)
    else:  # Its splits may depend on the seed.
        full, given["seed"] = full_name(name, root), seed
    suffix = "".join(f"-{option}{value}" for option, value in given.items())
    return root / "cnn_jax" / f"{re.sub('[/:]', '-', full)}{suffix}.npz"


def _sized(name: str, data: Dataset, size: int | None) -> Dataset:
    """The data set with resized images, and the reader of further images."""
    if input_name(data.train) == "signal":
        refuse("a set of audio", {"size": size})
        return data
    *now, channels = data.shape
    if size is not None and [size, size] != now:
        reader = ImageReader((size, size), channels)
        count = sum(map(length, data.splits().values()))
        check_inputs(name, reader, 2 * count)
        splits: Any = {
            name: split
            | {"image": np.stack([fit_image(x, reader) for x in split["image"]])}
            for name, split in data.splits().items()
        }
        data = dataclasses.replace(data, **splits)
    *now, channels = data.shape
    if channels not in (1, 3):
        return data
    reader = ImageReader((now[0], now[1]), channels)
    return dataclasses.replace(data, origin=Origin(reader, {}))


def _root(data_dir: str | Path | None) -> Path:
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return Path(root).expanduser()


def prepared(data_dir: str | Path | None = None) -> list[str]:
    """The data sets that TensorFlow Datasets has prepared.

    Args:
        data_dir: The folder of named data sets; by default `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        Their names, with their configurations.

    Raises:
        NotADirectoryError: If it is a file.
    """
    root = _root(data_dir)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f"`data_dir` is {root}, which is no folder.")
    return prepared_names(root)
