"""From the start of a process to its first train step, and the peak memory."""

import os
import resource
import subprocess
import sys
import tempfile
import time

from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries.networks import NETS, QUICK
from experiments.speed.libraries.runners import runner
from experiments.speed.timing import Times, installed

LIBRARIES = ("cnn_jax", "Flax", "PyTorch")


def starts(config: Config, page: report.Page) -> dict[str, Times]:
    """Times fresh processes without and with a filled compilation cache."""
    page.section("Start and memory")
    times, rows = {}, []
    for name in QUICK if config.quick else [*QUICK, "ResNet-18"]:
        for library in filter(installed, LIBRARIES):
            with tempfile.TemporaryDirectory() as cache:
                cold, warm = (_fresh_process(name, library, cache) for _ in range(2))
            times[f"{name}, {library}"] = {
                "cold": [cold["seconds"]],
                "warm": [warm["seconds"]],
                "megabytes": [cold["megabytes"]],
            }
            seconds = f"{cold['seconds']:.1f}", f"{warm['seconds']:.1f}"
            rows.append([name, library, *seconds, f"{cold['megabytes']:.0f}"])
    page.table(["", "", "cold, s", "with cache, s", "peak, MB"], rows)
    return times


def _fresh_process(name: str, library: str, cache: str) -> dict[str, float]:
    """Seconds until the first step of a new process is done, and its peak memory."""
    child = f"{name}|{library}"
    command = [sys.executable, "-m", "experiments.speed", "--child", child]
    settings = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    began = time.time()
    process = subprocess.run(
        command,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    ended, megabytes = map(float, process.stdout.splitlines()[-1].split())
    return {"seconds": ended - began, "megabytes": megabytes}


def child(name_and_library: str) -> None:
    """In a fresh process: one train step; prints when it ended and the peak memory.

    Args:
        name_and_library: Such as `"LeNet-5|Flax"`.
    """
    name, library = name_and_library.split("|")
    runner(library, NETS[name])()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.time(), peak)
