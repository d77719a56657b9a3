"""Whole train steps: forward, both gradients and the optimizer."""

from collections.abc import Callable
from typing import Any

from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries.networks import NETS, QUICK
from experiments.speed.libraries.runners import runner
from experiments.speed.timing import (
    Times,
    installed,
    show_bars,
    show_times,
    take_turns,
)

LIBRARIES = ("cnn_jax", "Flax−YNN", "Flax", "plain", "Keras", "PyTorch")


def train_steps(config: Config, page: report.Page) -> dict[str, Times]:
    """Times one train step of every network in every installed library."""
    times = {}
    for name in QUICK if config.quick else NETS:
        libraries = filter(installed, LIBRARIES)
        calls = {library: runner(library, NETS[name]) for library in libraries}
        times[name] = take_turns(calls, config.rounds)
    show_times(page, "One train step", times)
    show_bars(page, "One train step", times)
    return times


def ten_steps(config: Config, page: report.Page) -> dict[str, Times]:
    """Times ten train steps: in one dispatch, in ten dispatches and in PyTorch."""
    times = {}
    for name in QUICK if config.quick else NETS:
        net = NETS[name]
        calls = {"cnn_jax, ten": runner("cnn_jax", net, steps=10)}
        calls["cnn_jax, one"] = _ten_times(runner("cnn_jax", net))
        if installed("PyTorch"):
            calls["PyTorch"] = _ten_times(runner("PyTorch", net))
        times[name] = take_turns(calls, max(3, config.rounds // 2))
    show_times(page, "Ten train steps in one dispatch", times)
    show_bars(page, "Ten train steps in one dispatch", times)
    return times


def _ten_times(call: Callable[[], Any]) -> Callable[[], None]:
    def ten() -> None:
        for _ in range(10):
            call()

    return ten
