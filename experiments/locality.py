"""How far can `locality.test` be trusted? False claims and power, where truth is known.

    python -m experiments.locality
    python -m experiments.locality --share 0.1

Null: places were shuffled before the test, or labels are random, so order can carry
nothing, and every claim that it does is false. Alternatives: digits; signals whose
class is the direction of a short ramp; tables in which three neighbours matter
together, more or less. Each run draws its own data.

Expected: at most 5 % false claims, and at least 90 % power on pictures of 1,000 rows.
Half an hour on 2 CPU cores; `--share` takes a part of the runs.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import track
from scipy import stats
from sklearn.datasets import load_digits

from cnn_jax import locality, report, training
from experiments._shared import footer, start

Examples = tuple[np.ndarray, np.ndarray]
Make = Callable[[np.random.Generator, int], Examples]
ROWS = (100, 300, 1000)


def digits(rng: np.random.Generator, rows: int) -> Examples:
    """Some of scikit-learn's handwritten digits; few rows are of few classes."""
    found: Any = load_digits()
    among = np.flatnonzero(found.target < (5 if rows < 300 else 10))
    some = _each(found.target[among], rows, rng)
    return found.images[among][some][..., None], found.target[among][some]


def _each(labels: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """As many rows of every class."""
    classes = np.unique(labels)
    each = rows // len(classes)
    return np.concatenate(
        [rng.choice(np.flatnonzero(labels == c), each, replace=False) for c in classes]
    )


def signals(rng: np.random.Generator, rows: int) -> Examples:
    """Noise with a short ramp somewhere, which rises or falls."""
    y, places = np.arange(rows) % 2, np.arange(24)
    at = rng.integers(0, 20, rows)[:, None]
    ramp = (places - at - 1.5) * ((places >= at) & (places < at + 4))
    x = rng.normal(0, 0.7, (rows, 24)) + ramp * (2 * y[:, None] - 1)
    return x[..., None], y


def table(rng: np.random.Generator, rows: int, *, strength: float = 0.0) -> Examples:
    """Columns of which some count, and some only beside their neighbours.

    The class says whether a score is above its median: the largest sum of three
    neighbours, weighted by the strength, and a sum over some columns, by the rest.
    """
    x = rng.normal(size=(rows, 12))
    some = x[:, rng.choice(12, 3, replace=False)].sum(axis=1)
    three = (x[:, :-2] + x[:, 1:-1] + x[:, 2:]).max(axis=1)
    score = strength * _standard(three) + (1 - strength) * _standard(some)
    return x, (score > np.median(score)).astype(int)


def _standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def shuffled(make: Make) -> Make:
    """The same with places in an order by chance, drawn before the test."""

    def made(rng: np.random.Generator, rows: int) -> Examples:
        x, y = make(rng, rows)
        flat = x.reshape(rows, -1)
        return flat[:, rng.permutation(flat.shape[1])].reshape(x.shape), y

    return made


def mislabelled(make: Make) -> Make:
    """The same with labels by chance."""

    def made(rng: np.random.Generator, rows: int) -> Examples:
        x, y = make(rng, rows)
        return x, rng.permutation(y)

    return made


def planted(strength: float) -> Make:
    """A table with neighbours that matter together."""
    return lambda rng, rows: table(rng, rows, strength=strength)


# How often each is tried with 100, 300 and 1,000 rows.
NULL: dict[str, tuple[Make, tuple[int, int, int]]] = {
    "table, columns shuffled": (shuffled(planted(0.5)), (35, 22, 4)),
    "signals, samples shuffled": (shuffled(signals), (35, 22, 4)),
    "table, labels random": (mislabelled(table), (35, 22, 4)),
    "digits, pixels shuffled": (shuffled(digits), (10, 6, 2)),
}
ALTERNATIVE: dict[str, tuple[Make, tuple[int, int, int]]] = {
    "digits": (digits, (4, 4, 10)),
    "signals": (signals, (4, 4, 4)),
    "table, neighbours 1/2": (planted(0.5), (4, 4, 4)),
    "table, neighbours 3/4": (planted(0.75), (4, 4, 4)),
    "table, neighbours alone": (planted(1.0), (4, 4, 4)),
}


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/locality/<name>`; the date and time by default.
        runs: Where runs lie.
        share: Of the runs; at least one of each kind.
        budget: Other orders that each is compared with.
        seeds: Splits in each run.
        seed: Of everything.
    """

    name: str | None = None
    runs: Path = Path("runs")
    share: float = 1.0
    budget: int = locality.ENOUGH
    seeds: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """The verdicts of each kind, and the share of false claims with its interval."""

    folder: Path
    verdicts: dict[str, dict[int, Counter]]
    false_claims: tuple[float, float, float]


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "locality", config.name, config)
    page = report.Page("How far the test of order can be trusted")
    null = tried(NULL, config, folder)
    page.section("Order carries nothing, by construction")
    show(page, null, "false claims")
    claims, count = _claims(one for found in null.values() for one in found.values())
    claimed = claims / count, *_wilson(claims, count)
    page.text(
        f"{claims} of {count} runs claimed falsely that it does: "
        f"{_percent(claims, count)}, with Wilson's 95 % interval."
    )
    found = tried(ALTERNATIVE, config, folder)
    page.section("Order carries something, by construction")
    show(page, found, "found")
    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, null | found, claimed)


def tried(
    kinds: dict[str, tuple[Make, tuple[int, int, int]]],
    config: Config,
    folder: training.Run,
) -> dict[str, dict[int, Counter]]:
    """The verdicts on data of each kind, by their rows."""
    verdicts: dict[str, dict[int, Counter]] = {}
    for kind, (make, counts) in kinds.items():
        verdicts[kind] = {rows: Counter() for rows in ROWS}
        for rows, count in zip(ROWS, counts, strict=True):
            runs = range(max(1, round(config.share * count)))
            hidden = not sys.stdout.isatty()
            for i in track(runs, f"{kind}, {rows:,} rows", disable=hidden):
                seed = (config.seed, len(verdicts), rows, i, len(kinds))
                x, y = make(np.random.default_rng(seed), rows)
                key = jax.random.fold_in(
                    jax.random.key(config.seed), hash(seed) % 2**31
                )
                how = {"seeds": config.seeds, "budget": config.budget, "rivals": False}
                said = locality.test(x, y, key=key, **how)
                verdicts[kind][rows][said.verdict] += 1
                line = {"kind": kind, "rows": rows, "p": said.p, "said": said.verdict}
                folder.log(line | {"effect": said.effect})
    return verdicts


def show(
    page: report.Page, verdicts: dict[str, dict[int, Counter]], claims: str
) -> None:
    """Adds how often each was said to carry something, by kind and rows."""
    rows = []
    for kind, found in verdicts.items():
        rows.append([kind, *(_percent(*_claims([one])) for one in found.values())])
    page.table([claims, *(f"{count:,} rows" for count in ROWS)], rows)
    other = sum((c for f in verdicts.values() for c in f.values()), Counter())
    page.text("; ".join(f"{said}: {count}" for said, count in other.items()) + ".")


def _claims(verdicts: Iterable[Counter]) -> tuple[int, int]:
    total = sum(verdicts, Counter())
    return total[locality.CARRIES], sum(total.values())


def _wilson(claims: int, count: int) -> tuple[float, float]:
    found = stats.binomtest(claims, count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _percent(claims: int, count: int) -> str:
    low, high = _wilson(claims, count)
    return f"{100 * claims / count:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    start(run, Config, __doc__)
