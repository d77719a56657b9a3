"""Options of the experiment about the inside of networks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/inside`; the date and time by default.
        runs: Root folder of all runs.
        data_dir: Folder of prepared data; `$TFDS_DATA_DIR` or `~/tensorflow_datasets`
            by default.
        seeds: Number of networks of each kind.
        epochs: Training epochs of the networks for X and O; those for digits have six
            times, those for words twice as many.
        inputs: Test inputs per network on which maps are examined.
        recordings: Maximum number of training recordings.
        steps: Steps of `maximize`.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data_dir: Path | None = None
    seeds: int = 5
    epochs: int = 5
    inputs: int = 100
    recordings: int = 1200
    steps: int = 256
    seed: int = 0

    def __post_init__(self):
        for name in "seeds", "epochs", "inputs", "recordings", "steps":
            value, minimum = getattr(self, name), 2 if name == "seeds" else 1
            if value < minimum:
                raise ValueError(
                    f"`{name}` is {value}, but must be at least {minimum}."
                )
