"""What every experiment does alike: read its flags, show its progress, end well."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import tyro

from cnn_jax import compiler_options
from cnn_jax.training import NotFiniteError, hardware


def start(experiment: Callable[[Any], Any], config: type, doc: str | None) -> None:
    """Runs an experiment with the flags of the command line.

    What a user can mend ends in one line instead of a traceback.
    """
    chosen = tyro.cli(config, description=doc)
    try:
        experiment(chosen)
    except (OSError, NotFiniteError, ValueError) as error:
        sys.exit(f"error: {error}")


def compiled(function: Callable) -> Callable:
    """`function`, compiled with what XLA should be told on this device."""
    return jax.jit(function, compiler_options=compiler_options())


def footer(began: float) -> str:
    """The command, the time it took and what it ran on."""
    script, *flags = sys.argv
    command = " ".join(["python -m", f"experiments.{Path(script).stem}", *flags])
    return f"{command}: {time.time() - began:.0f} s on {hardware()}"
