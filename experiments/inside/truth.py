"""Where the truth is known: do maps mark it?"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import explain, report, training
from cnn_jax.nn import Chain
from experiments._shared import percent
from experiments.inside.methods import (
    INPUT,
    RANDOM,
    Scores,
    maps_of,
    methods,
    random_maps,
)
from experiments.inside.networks import Known


class Faithful(NamedTuple):
    """How faithful the maps of one method are, a number per seed.

    Attributes:
        mass: Share of the mass where the information is.
        ratio: That share over the share of random maps.
        hits: Share of maps whose largest score lies there.
        deletion: Area under the curve of deletion.
        insertion: Area under the curve of insertion.
    """

    mass: np.ndarray
    ratio: np.ndarray
    hits: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray


def faithfulness(
    page: report.Page, title: str, where: str, known: Known, seed: int
) -> dict[str, Faithful]:
    """Adds the table of one kind of data; random maps have the last row."""
    page.section(title)
    page.text(
        f"Error rate of the networks: {percent(known.errors)} %. The information lies "
        f"{where}, which is {100 * np.mean([m.mean() for m in known.masks]):.1f} % of "
        "an input."
    )
    shape = known.inputs[0].shape[1:]
    calls = methods(shape, known.baseline)
    curves = [
        partial(_area, measure, known.baseline)
        for measure in (explain.deletion, explain.insertion)
    ]
    found = {
        name: _measure(calls.get(name), curves, known, seed)
        for name in (*calls, RANDOM)
    }
    random = found[RANDOM].mass
    found = {n: one._replace(ratio=one.mass / random) for n, one in found.items()}
    page.table(*_table(found))
    page.text(_verdict(found))
    return found


def _area(
    measure: Callable[..., Any],
    baseline: float,
    net: Chain,
    x: Array,
    scores: Array,
    target: Array,
) -> Array:
    """The mean area under a curve."""
    return jnp.mean(measure(net, x, scores, target, value=baseline).area)


def _measure(
    call: Scores | None, curves: Sequence[Scores], known: Known, seed: int
) -> Faithful:
    """The measures of a method for every network; of random maps without one."""
    rows = []
    parts = zip(known.nets, known.inputs, known.labels, known.masks, strict=True)
    rng = np.random.default_rng(seed)
    for net, x, target, mask in parts:
        scores = (
            random_maps(rng, mask.shape)
            if call is None
            else maps_of(call, net, x, target)
        )
        axes = mask.ndim - 1
        mass = np.asarray(explain.mass_inside(scores, mask, spatial=axes))
        hits = np.asarray(explain.pointing_game(scores, mask, spatial=axes))
        arrays = [jnp.asarray(array) for array in (x, scores, target)]
        areas = [float(explain.compiled(c, net)(*arrays)) for c in curves]
        rows.append([np.nanmean(mass), hits.mean(), *areas])
    mass, hits, deletion, insertion = np.array(rows).T
    return Faithful(mass, np.ones(len(mass)), hits, deletion, insertion)


def _table(found: dict[str, Faithful]) -> tuple[list[str], list[list[str]]]:
    """The measures with their deviations, and the interval of the ratio."""
    header = ["", "mass, %", "over random", "hits, %", "deletion", "insertion"]
    rows = []
    for name, one in found.items():
        ratio = "1"
        if name != RANDOM:
            mean, low, high = training.mean_interval(one.ratio)
            ratio = f"{mean:.2f} ({low:.2f} to {high:.2f})"
        areas = [f"{a.mean():.3f}±{a.std(ddof=1):.3f}" for a in one[3:]]
        rows.append([name, percent(one.mass), ratio, percent(one.hits), *areas])
    return header, rows


def _verdict(found: dict[str, Faithful]) -> str:
    """Which methods put twice a random map's mass where the information is."""
    names = [name for name in found if name not in (RANDOM, INPUT)]
    twice = [n for n in names if training.mean_interval(found[n].ratio)[1] >= 2]
    not_ = [n for n in names if n not in twice]
    return (
        f"At least twice the mass of a random map, beyond the interval: "
        f"{', '.join(twice) or 'none'}. Not: {', '.join(not_) or 'none'}."
    )
