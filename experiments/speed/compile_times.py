"""Seconds to trace and compile a train step."""

import time

import jax

from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries.networks import NETS, QUICK
from experiments.speed.libraries.runners import jitted_step
from experiments.speed.timing import Times

LIBRARIES = ("cnn_jax", "Flax", "Flax−YNN")


def compile_times(config: Config, page: report.Page) -> dict[str, Times]:
    """Times the compilation of every network's train step, with empty caches."""
    page.section("Compile time")
    times, rows = {}, []
    for name in QUICK if config.quick else NETS:
        times[name] = {library: [_seconds(library, name)] for library in LIBRARIES}
        own, *others = (seconds for (seconds,) in times[name].values())
        rows.append([name, f"{own:.1f}", *(f"{own / other:.2f}" for other in others)])
    page.table(["", "cnn_jax, s", "over Flax", "over Flax−YNN"], rows)
    page.text("Tracing and compiling one train step, with empty caches.")
    return times


def _seconds(library: str, name: str) -> float:
    jitted, arguments = jitted_step(library, NETS[name])
    began = time.perf_counter()
    jitted.lower(*arguments).compile()
    seconds = time.perf_counter() - began
    jax.clear_caches()
    return seconds
