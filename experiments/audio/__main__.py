"""The command `python -m experiments.audio`."""

from experiments import audio
from experiments._shared import start


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("audio", audio.run, audio.Config, audio.__doc__)


if __name__ == "__main__":
    main()
