"""Fingerprints of examples, by which they are found again in data that have changed."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import SYSTEM, check_regular, raise_if_system

WORKERS = 4  # Threads; hashing and reading let other threads run.
_new = partial(hashlib.blake2b, digest_size=8)


def of_rows(*arrays: np.ndarray) -> tuple[str, ...]:
    """A digest of each row.

    Args:
        *arrays: Arrays of equal length, whose rows belong together.

    Returns:
        One text for each row; the same for rows of equal values.

    Example:
        >>> found = of_rows(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
        >>> found[0] == found[2], found[0] == found[1]
        (True, False)
    """
    flat = [np.ascontiguousarray(a).reshape(len(a), -1) for a in arrays]
    bytes_of = [a.view(np.uint8) for a in flat if a.size]
    if not bytes_of:
        return ("",) * len(arrays[0])
    joined = bytes_of[0] if len(bytes_of) == 1 else np.concatenate(bytes_of, axis=1)
    return tuple(_new(row.data).hexdigest() for row in joined)


def of_array(array: np.ndarray) -> str:
    """A digest of a whole array, its shape and its dtype.

    Args:
        array: Any numbers.

    Example:
        >>> of_array(np.zeros(2)) == of_array(np.zeros((2, 1)))
        False
    """
    digest = _new(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def of_files(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The size and a digest of the content of each file.

    Args:
        root: The folder.
        names: Files below it.

    Returns:
        `SIZE:DIGEST` by name; an empty text for a file that cannot be read.

    Raises:
        OSError: If too many files are open, or there is no memory.
    """
    listed = list(names)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(_of_file, [root / name for name in listed])
        return dict(zip(listed, found, strict=True))


def _of_file(path: Path) -> str:
    try:
        check_regular(path)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return f"{size}:{hashlib.file_digest(file, _new).hexdigest()}"
    except (OSError, ValueError) as error:  # A broken file is counted when it is read.
        raise_if_system(error, codes=SYSTEM)
        return ""
