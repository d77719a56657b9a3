"""Errors of the operating system, and damaged files."""

import errno
import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

# Errors that say nothing about the file that is read: too many open files, no memory.
SYSTEM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO))


class DamagedError(ValueError):
    """A file could be read, but does not hold what was written."""


def check_regular(path: str | Path) -> None:
    """Refuses what is no regular file: reading a pipe or a device may never end.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be found.
        ValueError: If it is a folder, a pipe or a device.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is no regular file")


def raise_if_system(
    error: BaseException, *, codes: Collection[int] | None = None
) -> None:
    """Raises an error of the system that caused `error`, such as a full disk.

    Args:
        error: What a reader raised. TensorStore writes the number of the system's error
            into its text.
        codes: The `errno` numbers that count as such; by default all but that of a
            missing file.

    Raises:
        OSError: The error of the system.
        MemoryError: If there was too little memory.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            raise seen
        if isinstance(seen, OSError) and _counts(_code(seen), codes):
            raise seen
        code = re.search(r"os_error_code='?(\d+)", str(seen))
        if code is not None and _counts(int(code[1]), codes):
            raise OSError(int(code[1]), first_line(seen)) from error
        seen = seen.__cause__ or seen.__context__


def _code(error: OSError) -> int | None:
    """The number of an error; of a missing file also where the raiser gave none."""
    missing = isinstance(error, FileNotFoundError)
    return errno.ENOENT if missing else error.errno


def _counts(number: int | None, codes: Collection[int] | None) -> bool:
    return number != errno.ENOENT if codes is None else number in codes


def first_line(error: BaseException) -> str:
    """The text of the system's error, or the first line of the error."""
    text = str(error).strip() or repr(error)
    system = re.search(r": ([^:]+) \[(?:os_error_code|tensorstore_spec)", text)
    return system[1] if system else text.splitlines()[0][:200]
