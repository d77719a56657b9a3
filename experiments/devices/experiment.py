"""Training on every layout of devices, and the table that compares them."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from cnn_jax import report, training
from experiments._shared import finish
from experiments.devices.training import Step, options, train


class Layout(NamedTuple):
    """The number of devices, and over how many of them the state is split."""

    devices: int
    fsdp: int = 1


LAYOUTS = [Layout(1), Layout(2), Layout(4), Layout(2, 2), Layout(4, 2), Layout(4, 4)]


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/devices`; the date and time by default.
        runs: Root folder of all runs.
        rounds: Timings of each layout, in turn.
        processes: Whether two processes are started as well, on CPUs.
        seed: Of weights and data.
    """

    name: str | None = None
    runs: Path = Path("runs")
    rounds: int = 20
    processes: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Every reported figure, by layout.

    Args:
        folder: The folder of the run.
        difference: Norm of the difference of the weights from those of one device,
            relative to their norm.
        held: Bytes of weights and optimizer per device.
        collectives: Exchanges in one step, by operation.
        seconds: The median time of a step.
        processes: The difference of two processes from two devices.
    """

    folder: Path
    difference: dict[Layout, float]
    held: dict[Layout, int]
    collectives: dict[Layout, Counter[str]]
    seconds: dict[Layout, float]
    processes: float | None


def run(config: Config) -> Result:
    """Runs the experiment from the training to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "devices", config.name, config)
    page = report.Page("One device, many devices, many processes")
    layouts = [one for one in LAYOUTS if one.devices <= jax.device_count()]
    weights = {
        one: train(config.seed, options(one.devices, fsdp=one.fsdp)) for one in layouts
    }
    steps = {
        one: Step(config.seed, options(one.devices, fsdp=one.fsdp)) for one in layouts
    }
    single = weights[Layout(1)]
    result = Result(
        folder.folder,
        {one: _difference(weights[one], single) for one in layouts},
        {one: step.bytes_per_device() for one, step in steps.items()},
        {one: step.collectives() for one, step in steps.items()},
        _seconds(steps, config.rounds),
        _processes(config),
    )
    _show(page, result)
    folder.log({"difference": list(result.difference.values())})
    finish(page, folder, began)
    return result


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _seconds(steps: dict[Layout, Step], rounds: int) -> dict[Layout, float]:
    """The median time of a step, all layouts in turn."""
    times = {one: [] for one in steps}
    for step in steps.values():
        step()  # Compiles.
    for _ in range(rounds):
        for one, step in steps.items():
            began = time.perf_counter()
            step()
            times[one].append(time.perf_counter() - began)
    return {one: float(np.median(found)) for one, found in times.items()}


def _processes(config: Config) -> float | None:
    """How far two processes are from two devices; None if they do not run.

    The two devices are those of a process of their own: in one with four, XLA divides
    loops otherwise, which changes the order of additions.
    """
    if not config.processes or jax.default_backend() != "cpu":
        return None
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{name}.npy" for name in ("0", "1", "alone")]
        workers = [_start(config.seed, outs[i], 1, port, str(i)) for i in range(2)]
        workers.append(_start(config.seed, outs[2], 2))
        for worker in workers:
            if worker.wait():
                raise ValueError(f"a process has ended with status {worker.returncode}")
        *several, alone = map(np.load, outs)
        return max(_difference(each, alone) for each in several)


def _start(seed: int, out: Path, devices: int, *join: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.devices.worker"]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "XLA_FLAGS": ""}
    return subprocess.Popen([*command, str(seed), str(out), *join], env=environment)


def _show(page: report.Page, result: Result) -> None:
    """Adds the table and what follows from it."""
    page.section("20 steps of ResNet-20, batches of 32")
    one = Layout(1)
    rows = [
        (
            str(each.devices),
            str(each.fsdp),
            f"{result.difference[each]:.1e}",
            f"{result.held[each] / result.held[one]:.3f}",
            ", ".join(f"{n} {name}" for name, n in result.collectives[each].items()),
            f"{result.seconds[each] / result.seconds[one]:.2f}",
        )
        for each in result.difference
    ]
    columns = ["devices", "fsdp", "difference", "state", "exchanges", "time"]
    page.table(columns, rows)
    page.text(
        "Difference: of the weights from those of one device, relative. State: bytes "
        "of weights and optimizer per device, relative to one device. Exchanges: in "
        "one step. Time: of a step, relative to one device "
        f"({result.seconds[one]:.3f} s)."
    )
    if jax.default_backend() == "cpu":
        page.text("The devices share the cores of one CPU: nothing can become faster.")
    if result.processes is not None:
        page.text(
            "The weights of two processes with one device each differ from those of "
            f"two devices by {result.processes:.1e}."
        )
