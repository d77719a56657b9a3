"""What a hostile case is, and how it is run."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cnn_jax import cli


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line, what is made before it, and how it must end.

    Args:
        name: What is wrong, in words; no two cases share one.
        words: The arguments of `cnn-jax`; paths are relative to the folder of the case.
        phrase: A part of what is printed.
        status: The exit status.
        prepare: Makes or damages files in the folder of the case.
        needs: What lies there before: keys of `runs.DATA` and `runs.RUNS`.
    """

    name: str
    words: tuple[str, ...]
    phrase: str
    status: int = 1
    needs: tuple[str, ...] = ()
    prepare: Callable[[Path], object] = lambda folder: None


@dataclasses.dataclass(frozen=True)
class Call:
    """A call from Python, and the error that it must raise.

    Args:
        name: What is wrong, in words; no two cases share one.
        call: Gets the folder of the case.
        error: The exception, of exactly this class or one below it.
        phrase: A part of its message.
        needs: As of a command.
    """

    name: str
    call: Callable[[Path], object]
    error: type[Exception]
    phrase: str
    needs: tuple[str, ...] = ()


@contextlib.contextmanager
def inside(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(words):
    """The exit status of a command, and all that it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            cli.main(list(words))
        except SystemExit as ended:
            code = ended.code
    if isinstance(code, str):
        return 1, f"{out.getvalue()}{code}\n"
    return int(code or 0), out.getvalue()


def check(case, folder):
    """Fails unless the case ends as its record says."""
    with inside(folder):
        if isinstance(case, Call):
            with pytest.raises(case.error) as raised:
                case.call(folder)
            assert case.phrase in str(raised.value)
            return
        case.prepare(folder)
        status, text = run(case.words)
    assert case.phrase in " ".join(text.split())
    assert status == case.status, text
    assert "Traceback" not in text
