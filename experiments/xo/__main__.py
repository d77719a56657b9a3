"""The command `python -m experiments.xo`."""

from experiments import xo
from experiments._shared import start


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("xo", xo.run, xo.Config, xo.__doc__)


if __name__ == "__main__":
    main()
