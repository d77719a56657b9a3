"""Where must a convolutional network fail? Where the order of columns is arbitrary.

    python -m experiments.tabular

Images (digits, X's and O's) and tables (all classification tables of scikit-learn) go
to the same small CNN as they are, and with their columns, rows or pixels in another
order: the same order for all examples, a new one per seed. An MLP, logistic regression
and boosted trees read the same inputs. Each method chooses among three settings on its
training rows alone.

Expected: shuffling the pixels costs the CNN at least one point of accuracy on the
digits (p < 0.01), more on X's and O's, and nothing on tables; the accuracy of the other
methods does not change; on tables the CNN is not the best, and `locality.test` never
says that order matters. Under 5 minutes on 2 CPU cores.
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
from cnn_jax.locality import ModelSpec, Splits, corrected_t, train
from experiments._shared import finish, percent, points, start

REPEATS = 3  # Networks of each kind and order, whose mean is reported.
RATES = (1e-3, 3e-3, 1e-2)  # Learning rates of both networks to choose from.
ESTIMATORS: dict[str, list[Callable[[], Any]]] = {
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
AS_THEY_ARE, SHUFFLED = "as they are", "shuffled"
Accuracy = dict[str, dict[str, np.ndarray]]  # Method → order → accuracy of every seed.
TABLES: dict[str, Callable[[], Any]] = {
    "breast cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
}


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/tabular`; the date and time by default.
        runs: Root folder of all runs.
        only: The data sets; all by default.
        seeds: Number of splits, each with its own shuffled order.
        budget: Permuted orders in `locality.test`; from 99 on it is a rank test.
        seed: Random seed of the whole experiment.
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
    """The folder, the accuracies by data set, and the verdicts on tables."""

    folder: Path
    accuracy: dict[str, Accuracy]
    verdicts: dict[str, locality.Verdict]


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "tabular", config.name, config)
    page = report.Page("The counterexample: tables")
    accuracy, verdicts = {}, {}
    for name in config.only:
        x, y = load(name, np.random.default_rng(config.seed))
        accuracy[name], splits = measure(x, y, config)
        compare(page, name, accuracy[name], splits)
        if x.ndim == 2:
            verdicts[name] = ask_locality(page, x, y, config)
    show_costs(page, accuracy)
    folder.log({"accuracy": accuracy, "verdicts": verdicts})
    finish(page, folder, began)
    return Result(folder.folder, accuracy, verdicts)


def load(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, height, width, 1) or a table (rows, columns), and classes."""
    if name == "digits":
        digits: Any = datasets.load_digits()
        return digits.images[..., None], digits.target
    if name == "X or O":
        drawn = data.draw_xo(rng, 700, strength=1.0, size=14)
        return drawn["image"], drawn["label"]
    table = TABLES[name]()
    return table.data, table.target


def measure(x: np.ndarray, y: np.ndarray, config: Config) -> tuple[Accuracy, Splits]:
    """The accuracy of every method in every order on every split."""
    rng = np.random.default_rng(config.seed)
    prepared = locality.prepare(x, y)
    splits = locality.resample(prepared, config.seeds, rng)
    inner = inner_splits(splits)
    key = jax.random.key(config.seed)
    accuracy: Accuracy = {name: {} for name in ("CNN", "MLP", *ESTIMATORS)}
    for order, positions in draw_orders(prepared.size, config.seeds, rng).items():
        for kind in "CNN", "MLP":
            key, own = jax.random.split(key)
            spec = ModelSpec.for_data(kind, prepared)
            accuracy[kind][order] = network(spec, splits, inner, positions, own)
        for name, settings in ESTIMATORS.items():
            if order in (AS_THEY_ARE, SHUFFLED):
                shares = estimator(settings, splits, inner, positions[:, 0])
                accuracy[name][order] = shares
    return accuracy, splits


def inner_splits(splits: Splits) -> Splits:
    """Three quarters of the training rows, and the rest for choosing settings."""
    cut = splits.train_y.shape[1] * 3 // 4
    x, y = splits.train_x, splits.train_y
    return Splits(x[:, :cut], y[:, :cut], x[:, cut:], y[:, cut:])


def draw_orders(
    size: tuple[int, ...], seeds: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Kind of order → permutations of shape (seeds, REPEATS, positions)."""
    grid, count = np.arange(np.prod(size)).reshape(size), range(seeds * REPEATS)
    orders = {AS_THEY_ARE: [grid for _ in count]}
    orders[SHUFFLED] = [rng.permutation(grid.ravel()) for _ in count]
    if len(size) == 2:
        height, width = size
        orders["columns"] = [grid[:, rng.permutation(width)] for _ in count]
        orders["rows"] = [grid[rng.permutation(height)] for _ in count]
    shape = seeds, REPEATS, -1
    return {name: np.stack(every).reshape(shape) for name, every in orders.items()}


def network(
    spec: ModelSpec,
    splits: Splits,
    inner: Splits,
    positions: np.ndarray,
    key: jax.Array,
) -> np.ndarray:
    """Mean accuracy per seed, with the best learning rate on the inner splits."""
    keys, seeds = jax.random.split(key), np.arange(len(positions))
    split, rates = np.repeat(seeds, len(RATES)), np.tile(RATES, len(seeds))
    orders = np.repeat(positions[:, 0], len(RATES), axis=0)
    _, brier = train(spec, inner, split, orders, key=keys[0], rate=rates)
    best = np.array(RATES)[brier.reshape(len(seeds), -1).argmin(axis=1)]
    split, rates = np.repeat(seeds, REPEATS), np.repeat(best, REPEATS)
    orders = positions.reshape(len(split), -1)
    accuracy, _ = train(spec, splits, split, orders, key=keys[1], rate=rates)
    return accuracy.reshape(len(seeds), REPEATS).mean(axis=1)


def estimator(
    settings: list[Callable[[], Any]],
    splits: Splits,
    inner: Splits,
    positions: np.ndarray,
) -> np.ndarray:
    """Accuracy per seed of a scikit-learn estimator, with the best setting."""

    def score(make: Callable[[], Any], part: Splits, i: int) -> float:
        x, test = (rows[i][:, positions[i]] for rows in (part.train_x, part.test_x))
        fitted = make().fit(x.reshape(len(x), -1), part.train_y[i])
        return fitted.score(test.reshape(len(test), -1), part.test_y[i])

    scores = []
    for i in range(len(positions)):
        best = max(settings, key=lambda make: score(make, inner, i))
        scores.append(score(best, splits, i))
    return np.array(scores)


def compare(page: report.Page, name: str, accuracy: Accuracy, splits: Splits) -> None:
    """Adds the accuracies, and the cost of shuffling on the same splits."""
    page.section(name)
    rows = []
    for method, by_order in accuracy.items():
        plain = by_order[AS_THEY_ARE]
        rows.append([method, percent(plain), "", ""])
        for order, shares in by_order.items():
            if order != AS_THEY_ARE:
                cost, p = corrected_t(plain - shares, splits.test_to_train)
                cells = percent(shares), points(cost), f"{p:.4f}"
                rows.append([f"· {order}", *cells])
    page.table(["", "accuracy, %", "cost in points (95 %)", "p, one-sided"], rows)
    others = [method for method in accuracy if method != "CNN"]
    best = max(others, key=lambda method: accuracy[method][AS_THEY_ARE].mean())
    lead = accuracy["CNN"][AS_THEY_ARE] - accuracy[best][AS_THEY_ARE]
    page.text(
        f"{splits.train_y.shape[1]:,} training rows, {splits.test_y.shape[1]:,} test "
        f"rows. The CNN minus the best other method, {best}: "
        f"{points(corrected_t(lead, splits.test_to_train)[0])} points."
    )


def ask_locality(
    page: report.Page, x: np.ndarray, y: np.ndarray, config: Config
) -> locality.Verdict:
    """Adds the verdict of `locality.test` on a table."""
    key, budget = jax.random.key(config.seed), config.budget
    result = locality.test(x, y, key=key, budget=budget, rivals=False)
    page.text(f"{result.headline()}. {result.reason()}")
    return result.verdict


def show_costs(page: report.Page, accuracy: dict[str, Accuracy]) -> None:
    """Adds a figure of the points of accuracy that shuffling costs each method."""
    page.section("The cost of shuffling")
    costs = {
        name: {
            method: 100 * (by_order[AS_THEY_ARE] - by_order[SHUFFLED])
            for method, by_order in methods.items()
        }
        for name, methods in accuracy.items()
    }
    figure = report.dots(costs, xlabel="cost of shuffling, in points of accuracy")
    page.figure(
        figure,
        "Accuracy as they are minus accuracy shuffled: a dot per seed, a stroke at the "
        "mean. Only the CNN loses accuracy, and only on images.",
    )


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("tabular", run, Config, __doc__)


if __name__ == "__main__":
    main()
