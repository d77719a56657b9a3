"""Timing of several libraries in turn, ratios of their times, and the table of both."""

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from cnn_jax import report

Times = dict[str, list[float]]  # Library → seconds per round.

REFERENCE = "product"  # The matrix product that every time is divided by.
OPTIONAL = {"PyTorch": "torch", "Keras": "keras"}  # Library → module.


def installed(library: str) -> bool:
    """Whether a library of the comparison is installed."""
    module = OPTIONAL.get(library)
    return module is None or importlib.util.find_spec(module) is not None


def take_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> Times:
    """Times each call once per round, and a matrix product before them.

    Args:
        calls: Library → function to time; it returns when its work is done.
        rounds: Number of timings of each.

    Returns:
        The seconds per call, by library, with `"product"` for the matrix product.
    """
    matrix = jnp.ones((1024, 1024))
    product = jax.jit(jnp.matmul).lower(matrix, matrix).compile()
    every = {REFERENCE: lambda: product(matrix, matrix).block_until_ready(), **calls}
    first = {name: seconds_per_call(call, 1) for name, call in every.items()}
    times = {name: [] for name in every}
    for _ in range(rounds):
        for name, call in every.items():
            if first[name] < 1:
                call()  # The call before this one has filled the caches of the CPU.
            repeats = max(1, min(10, int(0.02 / first[name])))
            times[name].append(seconds_per_call(call, repeats))
    return times


def seconds_per_call(call: Callable[[], Any], repeats: int) -> float:
    """Mean seconds of one call, over so many repeats."""
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def ratio(times: Times, name: str, other: str) -> float:
    """Time of one library over the time of another.

    Each is a median over rounds of time / time of the matrix product in the same round.
    """
    own, others, product = (np.asarray(times[key]) for key in (name, other, REFERENCE))
    return float(np.median(own / product) / np.median(others / product))


def libraries_of(times: dict[str, Times]) -> list[str]:
    """The libraries of a table of times, without the matrix product."""
    return [name for name in next(iter(times.values())) if name != REFERENCE]


def show_times(
    page: report.Page, title: str, times: dict[str, Times], *, note: str = ""
) -> None:
    """Adds a section with milliseconds, and the ratio of the first library to others.

    Args:
        page: The report.
        title: Title of the section.
        times: Row → library → seconds per round.
        note: A sentence about the rows.
    """
    page.section(title)
    first, *others = libraries_of(times)
    rows = [
        [
            row,
            f"{np.median(series[first]) * 1e3:.1f}",
            f"{_relative_spread(series[first]):.0%}",
            *(f"{ratio(series, first, other):.2f}" for other in others),
        ]
        for row, series in times.items()
    ]
    page.table(["", "ms", "±", *others], rows)
    page.text(
        f"ms: median time of {first}. ±: half its interquartile range, over the "
        f"median. Each library: the time of {first} over its time, both divided by the "
        f"time of the matrix product of the same round; below 1, {first} is faster. "
        f"{note}".strip()
    )


def show_bars(page: report.Page, title: str, times: dict[str, Times]) -> None:
    """Adds the ratios of `show_times` as bars."""
    first, *others = libraries_of(times)
    ratios = {
        other: [ratio(series, first, other) for series in times.values()]
        for other in others
    }
    xlabel = f"time of {first} / time of the other"
    figure = report.bars(list(times), ratios, xlabel=xlabel)
    page.figure(figure, f"{title}: left of the line at 1, {first} is faster.")


def _relative_spread(series: list[float]) -> float:
    """Half the interquartile range over the median."""
    return float(stats.iqr(series) / 2 / np.median(series))
