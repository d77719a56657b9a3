"""Which errors of a command are one line, and which are a bug with its traceback."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from cnn_jax import training
from cnn_jax.cli import errors
from cnn_jax.data import options


def ended(capsys, fail):
    """The status of a command that fails like this, and its error output."""
    with pytest.raises(SystemExit) as end, errors.exits():
        fail()
    return end.value.code, capsys.readouterr().err


def raiser(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize("value", [0, "3"], ids=["value", "type"])
def test_errors_of_the_package_are_one_line(capsys, value):
    def fail():
        options.check_positive("size", value, whole=True)

    status, text = ended(capsys, fail)
    assert status == errors.ERROR
    assert text.startswith("error: `size` is ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "fail",
    [
        lambda: np.zeros(3).reshape(2, 2),
        lambda: training.Config.from_json("{"),
        lambda: training.check_name(3),
        raiser(ValueError("ours?")),
        raiser(KeyError("a")),
    ],
    ids=["built in", "library", "built in, in the package", "others", "undocumented"],
)
def test_errors_of_others_are_bugs_with_a_traceback(capsys, as_shipped, fail):
    status, text = ended(capsys, fail)
    assert status == errors.BUG
    assert "Traceback" in text
    assert text.endswith("Please report it with the lines above.\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file", "a\nb"), r"error: a\nb: No such file"),
        (OSError("no space"), "error: no space"),
        (MemoryError("8 GB"), "error: there is too little memory (8 GB): use"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 8 GB"),
            "error: there is too little memory (RESOURCE_EXHAUSTED: 8 GB): use",
        ),
    ],
)
def test_errors_of_the_system_are_one_line(capsys, error, line):
    status, text = ended(capsys, raiser(error))
    assert status == errors.ERROR
    assert text.startswith(line)
    assert text.count("\n") == 1


def command(words, **environment):
    """A process of its own, whose terminal is another one."""
    return subprocess.run(
        f"{sys.executable} -m cnn_jax {words}",
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.full
def test_a_terminal_without_the_character_gets_its_escape():
    done = command("summary lenet5", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"32\xd732\xd71" in done.stdout


@pytest.mark.full
def test_an_output_that_is_full_is_an_error():
    done = command("datasets > /dev/full")
    assert done.returncode == errors.ERROR
    assert done.stderr == "error: No space left on device\n"


@pytest.mark.full
def test_an_output_that_is_closed_is_none():
    for words in "datasets >&-", "datasets | head -1":
        done = command(words)
        assert (done.returncode, done.stderr) == (0, "")
