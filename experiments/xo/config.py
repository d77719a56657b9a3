"""Options of the experiment about X and O."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/xo`; the date and time by default.
        runs: Root folder of all runs.
        data_dir: Folder of prepared data; `$TFDS_DATA_DIR` or `~/tensorflow_datasets`
            by default.
        seeds: Number of networks, each with its own test images.
        training: Training data of all networks, a configuration of `xo`.
        examples: Maximum number of training images.
        epochs: Training epochs.
        test_images: Test images per seed and strength with all deformations at once; a
            fifth of it for each deformation alone.
        desired_error: Training error rate at which the single network stops.
        sweeps: Nudging sweeps over all weights of the small network.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data_dir: Path | None = None
    seeds: int = 5
    training: str = "xo/hard"
    examples: int = 2500
    epochs: int = 5
    test_images: int = 600
    desired_error: float = 0.02
    sweeps: int = 10
    seed: int = 0
