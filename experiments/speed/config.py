"""Options of the benchmark."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Part = Literal["ops", "pools", "nets", "scan", "fit", "files", "compile", "start"]


@dataclass(frozen=True)
class Config:
    """Options of the benchmark.

    Args:
        only: Parts to measure: single convolutions, max pooling, train steps, ten train
            steps per dispatch, the training loop, prediction on files, compile times,
            or the start of a process up to its first step with its peak memory.
        quick: Measures a few shapes and networks only.
        rounds: Number of timings of each library.
        backend: `cpu` measures the parts of `only`; `gpu` measures train steps in
            bfloat16.
        name: Folder name under `runs/speed`; the date and time by default.
        runs: Root folder of all runs.
        child: Internal: the network and library that a fresh process measures.
    """

    only: tuple[Part, ...] = get_args(Part)
    quick: bool = False
    rounds: int = 7
    backend: Literal["cpu", "gpu"] = "cpu"
    name: str | None = None
    runs: Path = Path("runs")
    child: str | None = None

    def __post_init__(self):
        if self.rounds < 1:
            raise ValueError(f"`rounds` is {self.rounds}, but must be at least 1.")
