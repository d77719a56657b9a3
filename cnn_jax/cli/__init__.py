"""`cnn-jax`: train networks on your own data and use them, from the command line."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import tyro

from cnn_jax import training
from cnn_jax.cli.datasets import Datasets
from cnn_jax.cli.evaluate import Evaluate
from cnn_jax.cli.locality import Locality
from cnn_jax.cli.models import Models
from cnn_jax.cli.predict import Predict
from cnn_jax.cli.resume import Resume
from cnn_jax.cli.summary import Summary
from cnn_jax.cli.train import Train

COMMANDS = Train | Resume | Evaluate | Predict | Locality | Summary | Datasets | Models


def main(args: Sequence[str] | None = None) -> None:
    """Runs a command, and exits with its status.

    Errors that a user can correct are printed in one line, without a traceback.

    Args:
        args: The command line; by default that of the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(
            f"warning: {message}", file=sys.stderr
        )
        try:
            command: Any = tyro.cli(
                COMMANDS, prog="cnn-jax", args=args, description=__doc__
            )
            sys.exit(command())
        except BrokenPipeError:  # The reader has stopped, as `head` does.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (OSError, ValueError, training.NotFiniteError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
