"""`cnn-jax`: train networks on your own data and use them, from the command line."""

import sys
from collections.abc import Sequence
from typing import Any

import tyro

from cnn_jax.cli.datasets import Datasets
from cnn_jax.cli.errors import exits
from cnn_jax.cli.evaluate import Evaluate
from cnn_jax.cli.explain import Explain
from cnn_jax.cli.export import Export
from cnn_jax.cli.locality import Locality
from cnn_jax.cli.models import Models
from cnn_jax.cli.predict import Predict
from cnn_jax.cli.resume import Resume
from cnn_jax.cli.summary import Summary
from cnn_jax.cli.train import Train

COMMANDS = (
    Train
    | Resume
    | Evaluate
    | Predict
    | Explain
    | Export
    | Locality
    | Summary
    | Datasets
    | Models
)


def main(args: Sequence[str] | None = None) -> None:
    """Runs a command, and exits with its status.

    Args:
        args: The command line; by default that of the process.
    """
    with exits():
        command: Any = tyro.cli(
            COMMANDS, prog="cnn-jax", args=args, description=__doc__
        )
        status = command()
        print(end="", flush=True)  # So that a full disk is an error of the command.
        sys.exit(status)
