"""Less output of Orbax's threads on errors that the main thread raises as well."""

import functools
import logging
import sys
from typing import Any


@functools.cache
def quiet_threads() -> None:
    """Drops what Orbax and TensorStore print of a checkpoint that fails.

    Orbax logs each exception of each thread with its traceback. TensorStore, in C++,
    answers after Orbax has closed its event loop, and Python prints that it could not.
    """
    logging.getLogger("absl").addFilter(_not_of_orbax)
    sys.unraisablehook = functools.partial(_unraisable, sys.unraisablehook)


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _unraisable(before: Any, unraisable: Any) -> None:
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        before(unraisable)
