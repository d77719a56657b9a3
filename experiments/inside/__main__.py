"""The command `python -m experiments.inside`."""

from experiments import inside
from experiments._shared import start


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("inside", inside.run, inside.Config, inside.__doc__)


if __name__ == "__main__":
    main()
