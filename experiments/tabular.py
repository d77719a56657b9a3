"""Where must a convolutional network fail? Where columns can be shuffled for nothing.

    python -m experiments.tabular

Images (digits, X's and O's) and tables (all that scikit-learn ships for telling
classes apart) go to the same small CNN as they are, and with their columns, rows or
pixels in another order, the same for all examples and a new one per seed; beside it go
a network without convolutions, logistic regression and boosted trees. Each method
chooses among three settings on its training rows alone.

Expected: shuffling pixels costs the CNN at least one point on the digits (p < 0.01),
more on X's and O's, and nothing on tables; the rivals do not care; on tables the CNN
does not win, and `locality.test` never says that order carries anything. Under 5
minutes on 2 CPU cores.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from cnn_jax import data, locality, report, training
from cnn_jax.locality import Arm, Splits, learn, resampled
from experiments._shared import footer, start

REPEATS = 3  # Networks of each kind and order, of which the mean counts.
RATES = (1e-3, 3e-3, 1e-2)  # Of both networks, to choose from.
MACHINES: dict[str, list[Callable[[], Any]]] = {
    "logistic regression": [
        lambda c=c: LogisticRegression(C=c, max_iter=500) for c in (0.1, 1.0, 10.0)
    ],
    "boosted trees": [
        lambda rate=rate: HistGradientBoostingClassifier(
            learning_rate=rate, max_iter=30, random_state=0
        )
        for rate in (0.05, 0.1, 0.2)
    ],
}
Shares = dict[str, dict[str, np.ndarray]]  # Method → order → one share per seed.


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/tabular/<name>`; the date and time by default.
        runs: Where runs lie.
        only: The data sets; all by default.
        seeds: Splits, each with its own shuffled order.
        budget: Other orders for the verdict on a table; from 99 on a rank decides.
        seed: Of everything.
    """

    name: str | None = None
    runs: Path = Path("runs")
    only: tuple[Literal["digits", "X or O", "breast cancer", "wine", "iris"], ...] = (
        "digits",
        "X or O",
        "breast cancer",
        "wine",
        "iris",
    )
    seeds: int = 10
    budget: int = locality.ENOUGH
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Everything that was reported."""

    folder: Path
    shares: dict[str, Shares]
    verdicts: dict[str, locality.Verdict]


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "tabular", config.name, config)
    page = report.Page("The counterexample: tables")
    shares, verdicts = {}, {}
    for name in config.only:
        x, y = examples(name, np.random.default_rng(config.seed))
        shares[name], splits = tried(x, y, config)
        compare(page, name, shares[name], splits)
        if x.ndim == 2:
            found = locality.test(
                x,
                y,
                key=jax.random.key(config.seed),
                budget=config.budget,
                rivals=False,
            )
            verdicts[name] = found.verdict
            page.text(f"{found.headline()}. {found.reason()}")
    page.section("What shuffling costs")
    drawn = {name: costs(methods) for name, methods in shares.items()}
    figure = report.dots(drawn, xlabel="what shuffling costs, in points")
    page.figure(
        figure,
        "Right answers as they are, less those shuffled: a dot per seed, a stroke at "
        "the mean. Only the CNN loses, and only on pictures.",
    )
    folder.log({"shares": shares_of(shares), "verdicts": verdicts})
    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, shares, verdicts)


def costs(methods: Shares) -> dict[str, np.ndarray]:
    """What shuffling cost each method, in points."""
    return {
        method: 100 * (found["as they are"] - found["shuffled"])
        for method, found in methods.items()
    }


def shares_of(shares: dict[str, Shares]) -> dict[str, Any]:
    """The same with lists, for a record."""
    return {
        name: {
            m: {o: s.tolist() for o, s in orders.items()} for m, orders in ms.items()
        }
        for name, ms in shares.items()
    }


def examples(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, height, width, 1), or a table (rows, columns), and classes."""
    if name == "digits":
        digits: Any = datasets.load_digits()
        return digits.images[..., None], digits.target
    if name == "X or O":
        drawn = data.draw_xo(rng, 700, strength=1.0, size=14)
        return drawn["image"], drawn["label"]
    tables: dict[str, Callable[[], Any]] = {
        "breast cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "iris": datasets.load_iris,
    }
    table = tables[name]()
    return table.data, table.target


def tried(x: np.ndarray, y: np.ndarray, config: Config) -> tuple[Shares, Splits]:
    """Every method in every order on every split."""
    rng = np.random.default_rng(config.seed)
    given = locality.check(x, y)
    splits = locality.deal(given, config.seeds, rng)
    inner = for_choosing(splits)
    key = jax.random.key(config.seed)
    shares: Shares = {"CNN": {}, "MLP": {}} | {name: {} for name in MACHINES}
    for order, places in orders(given.size, config.seeds, rng).items():
        for kind in "CNN", "MLP":
            key, own = jax.random.split(key)
            arm = given.arm(kind)
            shares[kind][order] = network(arm, splits, inner, places, own)
        for name, settings in MACHINES.items():
            if order in ("as they are", "shuffled"):
                shares[name][order] = machine(settings, splits, inner, places[:, 0])
    return shares, splits


def for_choosing(splits: Splits) -> Splits:
    """Three quarters of the training rows, and the rest to choose settings by."""
    cut = splits.train_y.shape[1] * 3 // 4
    x, y = splits.train_x, splits.train_y
    return Splits(x[:, :cut], y[:, :cut], x[:, cut:], y[:, cut:])


def orders(
    size: tuple[int, ...], seeds: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """For each kind of order some per seed, as places to read in turn."""
    grid, count = np.arange(np.prod(size)).reshape(size), range(seeds * REPEATS)
    found = {"as they are": [grid for _ in count]}
    found["shuffled"] = [rng.permutation(grid.ravel()) for _ in count]
    if len(size) == 2:
        height, width = size
        found["columns"] = [grid[:, rng.permutation(width)] for _ in count]
        found["rows"] = [grid[rng.permutation(height)] for _ in count]
    shape = seeds, REPEATS, -1
    return {name: np.stack(every).reshape(shape) for name, every in found.items()}


def network(
    arm: Arm, splits: Splits, inner: Splits, places: np.ndarray, key: jax.Array
) -> np.ndarray:
    """Mean shares of right answers at the rate that did best on training rows."""
    keys, seeds = jax.random.split(key), np.arange(len(places))
    split, rates = np.repeat(seeds, len(RATES)), np.tile(RATES, len(seeds))
    every = np.repeat(places[:, 0], len(RATES), axis=0)
    _, brier = learn(arm, inner, split, every, key=keys[0], rate=rates)
    chosen = np.array(RATES)[brier.reshape(len(seeds), -1).argmin(axis=1)]
    split, rates = np.repeat(seeds, REPEATS), np.repeat(chosen, REPEATS)
    every = places.reshape(len(split), -1)
    right, _ = learn(arm, splits, split, every, key=keys[1], rate=rates)
    return right.reshape(len(seeds), REPEATS).mean(axis=1)


def machine(
    settings: list[Callable[[], Any]],
    splits: Splits,
    inner: Splits,
    places: np.ndarray,
) -> np.ndarray:
    """The same for one of scikit-learn's."""

    def score(make: Callable[[], Any], part: Splits, i: int) -> float:
        x, unseen = (rows[i][:, places[i]] for rows in (part.train_x, part.test_x))
        fitted = make().fit(x.reshape(len(x), -1), part.train_y[i])
        return fitted.score(unseen.reshape(len(unseen), -1), part.test_y[i])

    found = []
    for i in range(len(places)):
        chosen = max(settings, key=lambda make: score(make, inner, i))
        found.append(score(chosen, splits, i))
    return np.array(found)


def compare(page: report.Page, name: str, shares: Shares, splits: Splits) -> None:
    """Adds how often each was right, and what shuffling cost on the same splits."""
    page.section(name)
    rows = []
    for method, found in shares.items():
        plain = found["as they are"]
        for order, share in found.items():
            if order == "as they are":
                rows.append([method, _percent(share), "", ""])
                continue
            cost, p = resampled(plain - share, splits)
            ends = f"{100 * cost.low:.1f} to {100 * cost.high:.1f}"
            said = f"{100 * cost.mean:.1f} ({ends})"
            rows.append([f"· {order}", _percent(share), said, f"{p:.4f}"])
    page.table(["", "right, %", "cost in points (95 %)", "p, one-sided"], rows)
    rival = max(list(shares)[1:], key=lambda m: shares[m]["as they are"].mean())
    lead = shares["CNN"]["as they are"] - shares[rival]["as they are"]
    found, _ = resampled(lead, splits)
    page.text(
        f"{splits.train_y.shape[1]:,} rows to learn from, {splits.test_y.shape[1]:,} "
        f"to test on. The CNN is ahead of the best rival, {rival}, by {found}."
    )


def _percent(share: np.ndarray) -> str:
    return f"{100 * share.mean():.1f} ± {100 * share.std(ddof=1):.1f}"


if __name__ == "__main__":
    start(run, Config, __doc__)
