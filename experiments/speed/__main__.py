"""The command `python -m experiments.speed`."""

from experiments import speed
from experiments._shared import start


def main() -> None:
    """Runs the benchmark with the flags of the command line."""
    start("speed", speed.run, speed.Config, speed.__doc__)


if __name__ == "__main__":
    main()
