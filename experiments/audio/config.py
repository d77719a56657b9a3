"""Options of the experiment about audio."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/audio`; the date and time by default.
        runs: Root folder of all runs.
        data: `synthetic_digits`; a folder with one subfolder of recordings per class;
            or audio of TensorFlow Datasets, such as `speech_commands`, `spoken_digit`.
        data_dir: Folder of prepared data; `$TFDS_DATA_DIR` or `~/tensorflow_datasets`
            by default.
        rate: Samples per second after resampling; the rate of the files by default.
        seconds: Length to which recordings are cut or padded.
        bands: Number of mel bands.
        max_recordings: Maximum number of recordings per split.
        seeds: Number of networks of each kind.
        epochs: Minimum number of epochs over all recordings, clean and noisy.
        steps: Minimum number of train steps.
        batch_size: Recordings per train step.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data: str = "synthetic_digits"
    data_dir: Path | None = None
    rate: int | None = None
    seconds: float = 1.0
    bands: int = 24
    max_recordings: int = 3000
    seeds: int = 5
    epochs: int = 6
    steps: int = 440
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self):
        for name in "bands", "max_recordings", "seeds", "epochs", "steps":
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"`{name}` is {value}, but must be at least 1.")
