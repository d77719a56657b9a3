"""The benchmark: every part in turn, then the report."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnn_jax import report, training
from experiments._shared import finish
from experiments.speed.compile_times import compile_times
from experiments.speed.config import Config
from experiments.speed.files import files
from experiments.speed.gpu import gpu
from experiments.speed.operations import operations
from experiments.speed.pools import pools
from experiments.speed.starts import child, starts
from experiments.speed.timing import Times
from experiments.speed.train_steps import ten_steps, train_steps
from experiments.speed.training_loop import training_loop

Measurement = Callable[[Config, report.Page], dict[str, Times]]

CPU_PARTS: dict[str, Measurement] = {
    "ops": operations,
    "pools": pools,
    "nets": train_steps,
    "scan": ten_steps,
    "fit": training_loop,
    "files": files,
    "compile": compile_times,
    "start": starts,
}


@dataclass(frozen=True)
class Result:
    """The folder of the run, and its seconds: part → row → library → rounds."""

    folder: Path
    times: dict[str, dict[str, Times]]


def run(config: Config) -> Result:
    """Measures every part of `config.only` and writes the report."""
    if config.child:
        child(config.child)
        return Result(config.runs, {})
    began = time.time()
    folder = training.Run.create(config.runs, "speed", config.name, config)
    page = report.Page("Speed")
    times = {}
    for part, measure in _parts(config).items():
        times[part] = measure(config, page)
        _save(folder, times)
    finish(page, folder, began)
    return Result(folder.folder, times)


def _parts(config: Config) -> dict[str, Measurement]:
    if config.backend == "gpu":
        return {"gpu": gpu}
    return {part: CPU_PARTS[part] for part in config.only}


def _save(folder: training.Run, times: dict[str, dict[str, Times]]) -> None:
    """Writes all times so far, so that an interrupted run keeps them."""
    text = json.dumps({"hardware": training.hardware(), "times": times}, indent=1)
    (folder.folder / "times.json").write_text(text)
