"""What the command line prints where a command fails, and its exit status."""

import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from dis import opmap
from pathlib import Path
from types import TracebackType

import jax

from cnn_jax import training
from cnn_jax.training import processes

PACKAGE = Path(__file__).parents[1]
RAISE = opmap["RAISE_VARARGS"]
ERROR, BUG, INTERRUPTED = 1, 70, 130  # Exit statuses; 2 is that of wrong options.
REMEDY = "use a smaller `--size`, `--seconds` or `--batch-size`"
DOCUMENTED = (
    ValueError,
    TypeError,
    ModuleNotFoundError,  # Of an extra that is not installed.
    training.NotFiniteError,
)


@contextlib.contextmanager
def exits() -> Iterator[None]:
    """Ends the process with a line and a status where a command fails.

    Errors that a user can correct are printed in one line: those of the system, and
    those that this package raises as its functions document. Any other is a bug of the
    package, and its traceback is printed. Warnings are printed in one line each.

    Raises:
        SystemExit: If the command fails; with 1, for a bug with 70, and after Ctrl-C
            with 130.
    """
    _print_all_characters()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = lambda message, *_, **__: _complain(
                f"warning: {printable(message)}"
            )
            yield
    except BrokenPipeError:  # The reader has stopped, as `head` does.
        _flush()
        sys.exit(ERROR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        processes.wait_if_lost()
        if isinstance(error, OSError) or _is_memory(error) or is_documented(error):
            _complain(f"error: {message_of(error)}")
            _flush()
            processes.leave(ERROR)
            sys.exit(ERROR)
        traceback.print_exc()
        _complain("This is a bug of cnn-jax. Please report it with the lines above.")
        processes.leave(BUG)
        sys.exit(BUG)


def is_documented(error: Exception) -> bool:
    """Whether a `raise` statement of this package raised the error.

    A `ValueError` of a library, or of a built-in function that this package calls, says
    nothing about what the user gave.

    Args:
        error: With its traceback.

    Returns:
        False for the errors of others, and for kinds that no function documents.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return isinstance(error, DOCUMENTED) and last is not None and _ours(last)


def _ours(last: TracebackType) -> bool:
    code = last.tb_frame.f_code
    raised = code.co_code[last.tb_lasti] == RAISE
    return raised and Path(code.co_filename).is_relative_to(PACKAGE)


def message_of(error: Exception) -> str:
    """The message of an error in one line; of the system's, with the file.

    Args:
        error: The error.

    Example:
        >>> message_of(FileNotFoundError(2, "No such file or directory", "a.csv"))
        'a.csv: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return printable(f"{where}{error.strerror}")
    if _is_memory(error):
        return printable(f"there is too little memory ({error}): {REMEDY}.")
    return printable(error)


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out, of the machine or of the device."""
    device = isinstance(error, jax.errors.JaxRuntimeError)
    full = device and str(error).startswith("RESOURCE_EXHAUSTED")
    return isinstance(error, MemoryError) or full


def printable(text: object) -> str:
    r"""A text with escapes for line breaks and others that a terminal would obey.

    Args:
        text: A message, perhaps with the name of a file.

    Example:
        >>> print(printable("a\nb is missing × 2"))
        a\nb is missing × 2
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def _flush() -> None:
    """Prints what is waiting; what cannot be printed is given up."""
    try:
        print(end="", flush=True)
    except OSError:  # Otherwise Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str) -> None:
    print(line, file=sys.stderr)


def _print_all_characters() -> None:
    """Prints escapes for characters that the terminal's encoding does not have."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
