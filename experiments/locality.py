"""How far can `locality.test` be trusted? False claims and power on known data.

    python -m experiments.locality
    python -m experiments.locality --share 0.1

Null data: positions are shuffled before the test, or labels are random, so order
carries nothing, and every claim that it does is false. Alternatives: digits; signals
whose class is the direction of a short ramp; tables in which three neighbouring columns
act together, more or less. Each run draws its own data.

Expected: at most 5 % false claims, and a power of at least 90 % on images of 1,000
rows. Half an hour on 2 CPU cores; `--share` runs only a part.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats
from sklearn.datasets import load_digits

from cnn_jax import locality, report, training
from experiments._shared import finish, progress, start

Examples = tuple[np.ndarray, np.ndarray]  # Inputs and labels.
Draw = Callable[[np.random.Generator, int], Examples]  # From a number of rows.
Verdicts = dict[str, dict[int, Counter]]  # Kind of data → rows → verdicts.
ROWS = (100, 300, 1000)


def digits(rng: np.random.Generator, rows: int) -> Examples:
    """Rows of scikit-learn's handwritten digits; below 300 rows, of 5 classes."""
    loaded: Any = load_digits()
    candidates = np.flatnonzero(loaded.target < (5 if rows < 300 else 10))
    sample = _balanced(loaded.target[candidates], rows, rng)
    return loaded.images[candidates][sample][..., None], loaded.target[candidates][
        sample
    ]


def _balanced(labels: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Random rows, the same number of every class."""
    classes = np.unique(labels)
    per_class = rows // len(classes)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(labels == c), per_class, replace=False)
            for c in classes
        ]
    )


def signals(rng: np.random.Generator, rows: int) -> Examples:
    """Noise with a short ramp at a random position, which rises or falls."""
    y, positions = np.arange(rows) % 2, np.arange(24)
    begin = rng.integers(0, 20, rows)[:, None]
    inside = (positions >= begin) & (positions < begin + 4)
    ramp = (positions - begin - 1.5) * inside
    x = rng.normal(0, 0.7, (rows, 24)) + ramp * (2 * y[:, None] - 1)
    return x[..., None], y


def table(rng: np.random.Generator, rows: int, *, strength: float = 0.0) -> Examples:
    """Columns that act alone, and columns that act together with their neighbours.

    The class is 1 where a score is above its median. The score is the largest sum of
    three neighbouring columns, times the strength, plus a sum of three random columns,
    times 1 − strength.
    """
    x = rng.normal(size=(rows, 12))
    single = x[:, rng.choice(12, 3, replace=False)].sum(axis=1)
    neighbours = (x[:, :-2] + x[:, 1:-1] + x[:, 2:]).max(axis=1)
    score = strength * _standardize(neighbours) + (1 - strength) * _standardize(single)
    return x, (score > np.median(score)).astype(int)


def _standardize(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def shuffled(draw: Draw) -> Draw:
    """The same data with positions in a random order, the same for all rows."""

    def draw_shuffled(rng: np.random.Generator, rows: int) -> Examples:
        x, y = draw(rng, rows)
        flat = x.reshape(rows, -1)
        return flat[:, rng.permutation(flat.shape[1])].reshape(x.shape), y

    return draw_shuffled


def mislabelled(draw: Draw) -> Draw:
    """The same data with labels in a random order."""

    def draw_mislabelled(rng: np.random.Generator, rows: int) -> Examples:
        x, y = draw(rng, rows)
        return x, rng.permutation(y)

    return draw_mislabelled


def planted(strength: float) -> Draw:
    """A table in which neighbouring columns act together."""
    return lambda rng, rows: table(rng, rows, strength=strength)


# Kind of data → how to draw it, and the number of runs with 100, 300 and 1,000 rows.
NULL: dict[str, tuple[Draw, tuple[int, ...]]] = {
    "table, columns shuffled": (shuffled(planted(0.5)), (35, 22, 4)),
    "signals, samples shuffled": (shuffled(signals), (35, 22, 4)),
    "table, labels random": (mislabelled(table), (35, 22, 4)),
    "digits, pixels shuffled": (shuffled(digits), (10, 6, 2)),
}
ALTERNATIVE: dict[str, tuple[Draw, tuple[int, ...]]] = {
    "digits": (digits, (4, 4, 10)),
    "signals": (signals, (4, 4, 4)),
    "table, neighbours 1/2": (planted(0.5), (4, 4, 4)),
    "table, neighbours 3/4": (planted(0.75), (4, 4, 4)),
    "table, neighbours alone": (planted(1.0), (4, 4, 4)),
}


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/locality`; the date and time by default.
        runs: Root folder of all runs.
        share: Share of the runs, at least one of each kind.
        budget: Number of permuted orders in each test.
        seeds: Number of splits in each test.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    share: float = 1.0
    budget: int = locality.ENOUGH
    seeds: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Every reported figure.

    Args:
        folder: The folder of the run.
        verdicts: Kind of data → rows → number of each verdict.
        false_claims: Share of false claims, and its 95 % interval.
    """

    folder: Path
    verdicts: Verdicts
    false_claims: tuple[float, float, float]


def run(config: Config) -> Result:
    """Runs the experiment from the tests to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "locality", config.name, config)
    page = report.Page("How far the test of order can be trusted")
    page.section("Order carries nothing, by construction")
    null = run_tests(page, NULL, config, folder)
    show(page, null, "false claims")
    false_claims = show_false_claims(page, null)
    page.section("Order carries something, by construction")
    alternative = run_tests(page, ALTERNATIVE, config, folder)
    show(page, alternative, "power")
    finish(page, folder, began)
    return Result(folder.folder, null | alternative, false_claims)


def run_tests(
    page: report.Page,
    kinds: dict[str, tuple[Draw, tuple[int, ...]]],
    config: Config,
    folder: training.Run,
) -> Verdicts:
    """The verdicts of `locality.test` on data of each kind, by the number of rows."""
    verdicts: Verdicts = {}
    for kind, (draw, counts) in kinds.items():
        verdicts[kind] = {rows: Counter() for rows in ROWS}
        for rows, count in zip(ROWS, counts, strict=True):
            runs = range(max(1, round(config.share * count)))
            for i in progress(runs, f"{kind}, {rows:,} rows", page.console):
                seed = (config.seed, len(verdicts), rows, i, len(kinds))
                result = _test(draw, rows, seed, config)
                verdicts[kind][rows][result.verdict] += 1
                line = {"kind": kind, "rows": rows, "p": result.p}
                folder.log(line | {"verdict": result.verdict, "effect": result.effect})
    return verdicts


def _test(
    draw: Draw, rows: int, seed: tuple[int, ...], config: Config
) -> locality.Report:
    x, y = draw(np.random.default_rng(seed), rows)
    key = jax.random.fold_in(jax.random.key(config.seed), hash(seed) % 2**31)
    options = {"seeds": config.seeds, "budget": config.budget, "rivals": False}
    return locality.test(x, y, key=key, **options)


def show(page: report.Page, verdicts: Verdicts, title: str) -> None:
    """Adds how often the test claimed that order matters, by kind and rows."""
    table = [
        [kind, *(_percent(*_claims([counts])) for counts in by_rows.values())]
        for kind, by_rows in verdicts.items()
    ]
    page.table([title, *(f"{rows:,} rows" for rows in ROWS)], table)
    counters = (counts for by_rows in verdicts.values() for counts in by_rows.values())
    totals = sum(counters, Counter())
    page.text("; ".join(f"{name}: {count}" for name, count in totals.items()) + ".")


def show_false_claims(
    page: report.Page, verdicts: Verdicts
) -> tuple[float, float, float]:
    """Adds the share of false claims among all null runs."""
    claims, count = _claims(
        counts for by_rows in verdicts.values() for counts in by_rows.values()
    )
    page.text(
        f"{claims} of {count} runs claimed falsely that order matters: "
        f"{_percent(claims, count)}, with Wilson's 95 % interval."
    )
    return claims / count, *_wilson(claims, count)


def _claims(verdicts: Iterable[Counter]) -> tuple[int, int]:
    """The number of claims that order matters, and the number of verdicts."""
    total = sum(verdicts, Counter())
    return total[locality.CARRIES], sum(total.values())


def _wilson(claims: int, count: int) -> tuple[float, float]:
    interval = stats.binomtest(claims, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _percent(claims: int, count: int) -> str:
    low, high = _wilson(claims, count)
    return f"{100 * claims / count:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("locality", run, Config, __doc__)


if __name__ == "__main__":
    main()
