"""A data set by its name: prepared once by TFDS, then read from one file of arrays."""

import contextlib
import difflib
import importlib
import importlib.util
import io
import logging
import os
import shutil
import socket
import tempfile
import urllib.parse
import urllib.request
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.dataset import Dataset, Split

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def load(name: str, *, data_dir: str | Path | None = None) -> Dataset:
    """Loads a data set into arrays.

    `xo` and `digits` need no network. `xo/hard`, `xo/clean_14` and the like are other
    configurations of `xo`. Any other name is looked up in TensorFlow Datasets, and read
    if it is prepared in `data_dir` or can be downloaded.

    The arrays are kept in one file under `data_dir`, which is all that is read the next
    time. A file that is half-written or damaged is built again, with a warning.

    Args:
        name: Of the data set, with `/` and a configuration if it has several.
        data_dir: Where data lies; by default `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        Its `train` and `test` splits and the names of its classes.

    Raises:
        ValueError: If there is no such data set, or it is not one of pictures of one
            size with labels.
        FileNotFoundError: If it is neither prepared nor can be downloaded; the message
            says how to get it.
    """
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))
    root = root.expanduser()
    base = name.split("/")[0]
    version = f"-{VERSIONS[base]}" if base in VERSIONS else ""
    cache = (
        root / "cnn_jax" / f"{name.replace('/', '-').replace(':', '-')}{version}.npz"
    )
    if cache.exists():
        try:
            return _read(cache)
        except DAMAGED as error:
            warnings.warn(
                f"{cache} is damaged ({error}) and is built again", stacklevel=2
            )
    with quiet():
        data = _from_own(name, root) if base in VERSIONS else _from_tfds(name, root)
    _write(cache, data)
    return data


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS and Orbax from logging what a user cannot mend."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _read(cache: Path) -> Dataset:
    """The arrays of a file; zip checks a sum over each of them."""
    with open(cache, "rb") as file, np.load(file) as arrays:
        splits: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
        for key in arrays.files:
            if key != "classes":
                split, field = key.split("/")
                splits[split][field] = arrays[key]
        return Dataset(**splits, classes=tuple(map(str, arrays["classes"])))


def _write(cache: Path, data: Dataset) -> None:
    """Writes all or nothing: a file appears under its name when it is whole."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"classes": np.array(data.classes)}
    for name, split in ("train", data.train), ("test", data.test):
        arrays |= {f"{name}/{field}": array for field, array in split.items()}
    with tempfile.NamedTemporaryFile(dir=cache.parent, delete=False) as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    os.replace(file.name, cache)


def _from_own(name: str, root: Path) -> Dataset:
    """One of the project's own sets, made anew if what was prepared cannot be read."""
    base, _, config = name.partition("/")
    module = importlib.import_module(
        f"cnn_jax.data.builders.{base}.{base}_dataset_builder"
    )
    known = sorted(module.Builder.builder_configs)
    if config and config not in known:
        raise ValueError(
            f"there is no {name!r}; {base!r} has {known or 'no variants'}."
        )
    if importlib.util.find_spec("array_record") is None:
        builder = module.Builder(data_dir=tempfile.gettempdir(), config=config or None)
        return _dataset(builder, _generated(builder))
    try:
        return _made(module.Builder, root, config)
    except (
        Exception
    ) as error:  # array_record and TFDS have none of their own for damage.
        folder = root / base / config
        warnings.warn(f"{folder} is damaged ({error}) and is made again", stacklevel=3)
        shutil.rmtree(folder, ignore_errors=True)
        return _made(module.Builder, root, config)


def _made(builder_class: Any, root: Path, config: str) -> Dataset:
    builder = builder_class(data_dir=root, config=config or None)
    return _dataset(builder, _prepared(builder))


def _from_tfds(name: str, root: Path) -> Dataset:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    base = name.split("/")[0].split(":")[0]
    if base not in known:
        close = difflib.get_close_matches(base, [*VERSIONS, *known])
        raise ValueError(
            f"there is no data set {name!r}, neither here ({', '.join(VERSIONS)}) nor "
            f"in TensorFlow Datasets{'; close: ' + ', '.join(close) if close else ''}."
        )
    try:
        builder = tfds.builder(name, data_dir=root)
        if not builder.is_prepared():
            _check_network(builder)
        return _dataset(builder, _prepared(builder))
    except (ImportError, OSError, NotImplementedError, AssertionError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise FileNotFoundError(
            f"{name!r} is not prepared in {root}, nor can it be here: {reason} Where "
            f"there is a network, run `pip install tensorflow && tfds build {name} "
            "--file_format=array_record`, then point TFDS_DATA_DIR to its folder."
        ) from error


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
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(file_format=tfds.core.FileFormat.ARRAY_RECORD)
    return builder.as_data_source()


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


def _dataset(builder: Any, sources: dict[str, Any]) -> Dataset:
    features = builder.info.features
    if not {"image", "label"} <= set(features) or None in features["image"].shape:
        raise ValueError(
            f"{builder.name!r} has {features}, but only pictures of one size with a "
            "`label` fit into arrays."
        )
    missing = {"train", "test"} - set(sources)
    if missing:
        raise ValueError(f"{builder.name!r} has splits {list(sources)}, no {missing}.")
    train, test = _arrays(sources["train"]), _arrays(sources["test"])
    return Dataset(train=train, test=test, classes=tuple(features["label"].names))


def _arrays(source: Any) -> Split:
    examples = [(example["image"], example["label"]) for example in source]
    images, labels = zip(*examples, strict=True)
    return {"image": np.stack(images), "label": np.array(labels, np.int32)}
