"""Prepared data sets in one file of arrays each."""

import dataclasses
import io
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset, Origin
from cnn_jax.data.errors import DamagedError
from cnn_jax.data.readers import AudioReader


def read_cache(cache: Path) -> Dataset:
    """Reads the data set in a cache file.

    All bytes are read before they are parsed: an error of the system comes from reading
    and is raised as it is; any error of parsing means damage.

    Args:
        cache: The file.

    Returns:
        The data set.

    Raises:
        OSError: If the system could not read it.
        DamagedError: If the file does not hold what was written.
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


def write_cache(cache: Path, data: Dataset) -> None:
    """Writes a data set to a file, which appears under its name when it is complete."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"classes": np.array(data.classes)}
    if data.origin is not None and isinstance(data.origin.reader, AudioReader):
        reader = data.origin.reader
        arrays["sounds"] = np.array([reader.rate, reader.samples])
        arrays["notes"] = np.array(data.origin.notes, str)
    for name, split in data.splits().items():
        arrays |= {f"{name}/{field}": array for field, array in split.items()}
    partial = cache.with_name(f"tmp-{uuid.uuid4().hex}-{cache.name}")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        os.replace(partial, cache)
    finally:
        partial.unlink(missing_ok=True)
