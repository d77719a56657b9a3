"""The test: train in the true order and in others, and compare."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from cnn_jax.locality.inputs import PreparedData, prepare
from cnn_jax.locality.networks import ModelSpec, train
from cnn_jax.locality.report import NOT_ENOUGH, Report, decide
from cnn_jax.locality.splits import resample
from cnn_jax.locality.statistics import Interval, corrected_t, rows_needed

LEVEL = 0.9  # Of the interval that must lie within the margin.
ENOUGH = 99  # Permuted orders from which the rank decides.
REPEATS = 3  # Networks whose mean accuracy counts.


def test(
    inputs: Any,
    labels: Any,
    *,
    key: Key[Array, ""],
    names: Sequence[str] = (),
    seeds: int = 10,
    budget: int = ENOUGH,
    margin: float = 0.02,
    rivals: bool = True,
) -> Report:
    """Tests whether the order of positions carries anything that a CNN can use.

    A small CNN is trained on the data as they are, and again under fixed permutations
    of the positions, the same for all rows. With at least 99 permuted orders, all on
    the same three splits into training and test rows, p is the rank of the true order
    by its mean Brier score,

        p = (1 + number of permuted orders that are no worse) / (1 + number of them),

    which is exact: if order means nothing, all ranks are equally likely. With fewer, p
    is that of the corrected resampled t test over `seeds` splits, whose differences d
    have

        t = mean(d) / √((1/J + n_test / n_train) · var(d)).

    The decision, fixed in advance: p ≤ 0.02 means *order carries what a CNN can use*;
    otherwise, if the 90 % interval of the effect (of the same t) lies within ± margin,
    *it does not*; otherwise there is *not enough data to say*.

    Filling, scaling and the order by similarity are fitted on the training rows of each
    split. Equal rows stay on one side of a split.

    Args:
        inputs: A table (rows, columns) of numbers, with NaN where one is missing, or
            of text; signals (rows, samples, channels); or images (rows, height, width,
            channels).
        labels: The class of each row, as a number or a name.
        key: For splits, permutations and initial weights.
        names: The names of the columns of a table.
        seeds: The number of splits J, over which effects are averaged.
        budget: The number of permuted orders that are trained.
        margin: The difference in accuracy, as a fraction, that does not matter.
        rivals: Whether to train a network without convolutions and boosted trees too.

    Returns:
        The verdict and the figures behind it.

    Raises:
        ValueError: If labels are quantities, all equal, or a class has fewer than ten
            rows; or an option is out of its range.
        TypeError: If `inputs` has another number of axes.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> table, label = rng.normal(size=(60, 6)), np.arange(60) % 2
        >>> options = {"seeds": 3, "budget": 5, "rivals": False}
        >>> test(table, label, key=jax.random.key(0), **options).verdict
        'not enough data to say'

    Source:
        Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52,
        2003: the corrected resampled t test. Phipson & Smyth, "Permutation
        p-values should never be zero", 2010: (1 + b) / (1 + m). Zhu et al.,
        "Converting tabular data into images", 2021 (IGTD): similar columns as
        neighbours.
    """
    _check_options(seeds, budget, margin)
    data = prepare(inputs, labels, names)
    study = _Study(data, seeds, key)
    ranks, accuracy = study.ranks(budget), study.accuracy_by_order()
    gains = {order: accuracy[order] - accuracy["other"] for order in ranks.p}
    effects = {order: study.interval(gain, LEVEL) for order, gain in gains.items()}
    rule: Literal["rank", "t"] = "rank" if budget >= ENOUGH else "t"
    p_of_t = {order: study.t_test(gain) for order, gain in gains.items()}
    p = ranks.p if rule == "rank" else p_of_t
    verdict, effect = decide(p["true"], effects["true"], margin), effects["true"]
    by_method = {"CNN": accuracy["true"]} | (study.rivals() if rivals else {})
    rival = max([*by_method][1:], key=lambda n: by_method[n].mean(), default=None)
    undecided = verdict == NOT_ENOUGH
    return Report(
        verdict=verdict,
        p=p["true"],
        rule=rule,
        effect=effect,
        accuracy=by_method,
        permuted=ranks.permuted,
        true=ranks.true,
        rival=rival,
        lead=None if rival is None else study.lead(by_method, rival),
        similar=effects.get("similar"),
        similar_p=p.get("similar"),
        needed=rows_needed(effect, margin, len(data.y)) if undecided else None,
        notes=tuple(data.notes),
    )


def _check_options(seeds: int, budget: int, margin: float) -> None:
    if seeds < 2:
        raise ValueError(f"`seeds` is {seeds}, but must be at least 2.")
    if budget < 1:
        raise ValueError(f"`budget` is {budget}, but must be at least 1.")
    if not 0 < margin < 1:
        raise ValueError(f"`margin` is {margin}, but must be between 0 and 1.")


class _Ranks(NamedTuple):
    """The p-value of each order in question by its rank, and accuracies."""

    p: dict[str, float]
    permuted: np.ndarray
    true: float


class _Study:
    """All networks that are trained on one data set."""

    def __init__(self, data: PreparedData, seeds: int, key: Array):
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        self.rng = np.random.default_rng(seed)
        self.data, self.key, self.seeds = data, key, seeds
        self.splits, self.positions = resample(data, seeds, self.rng), data.x.shape[1]

    def interval(self, values: np.ndarray, level: float) -> Interval:
        """The confidence interval of a mean over these splits."""
        return corrected_t(values, self.splits.test_to_train, level=level)[0]

    def lead(self, accuracy: dict[str, np.ndarray], rival: str) -> Interval:
        """Accuracy of the network minus that of the rival on the same splits."""
        return self.interval(accuracy["CNN"] - accuracy[rival], 0.95)

    def t_test(self, values: np.ndarray) -> float:
        """The one-sided p-value of a mean above 0."""
        return corrected_t(values, self.splits.test_to_train)[1]

    def train(self, kind: Any, split: np.ndarray, order: np.ndarray) -> Any:
        """Accuracies and Brier scores of many networks."""
        self.key, key = jax.random.split(self.key)
        spec = ModelSpec.for_data(kind, self.data)
        return train(spec, self.splits, split, order, key=key)

    def random_orders(self, count: int) -> np.ndarray:
        """Random permutations of the positions."""
        return np.stack([self.rng.permutation(self.positions) for _ in range(count)])

    def similar(self, split: int) -> np.ndarray:
        """The order with correlated columns side by side, from the training rows."""
        from scipy.cluster.hierarchy import leaves_list, linkage
        from scipy.spatial.distance import squareform

        with np.errstate(invalid="ignore"):
            correlation = np.corrcoef(self.splits.train_x[split, :, :, 0], rowvar=False)
        distance = 1 - np.abs(np.nan_to_num(correlation))
        np.fill_diagonal(distance, 0)
        pairs = squareform((distance + distance.T) / 2, checks=False)
        return leaves_list(linkage(pairs, "average", optimal_ordering=True))

    def tested_orders(self, splits: np.ndarray) -> dict[str, np.ndarray]:
        """The orders in question, for each of some splits."""
        orders = {"true": np.tile(np.arange(self.positions), (len(splits), 1))}
        if self.data.table and self.positions > 2:
            orders["similar"] = np.stack([self.similar(int(i)) for i in splits])
        return orders

    def ranks(self, budget: int) -> _Ranks:
        """Trains the orders in question and random ones on the same few splits."""
        splits = np.arange(min(REPEATS, self.seeds))
        tested = self.tested_orders(splits)
        others = np.repeat(self.random_orders(budget)[:, None], len(splits), axis=1)
        orders = np.concatenate([np.stack(list(tested.values())), others])
        each = np.tile(splits, len(orders))
        results = self.train("CNN", each, orders.reshape(-1, self.positions))
        accuracy, brier = (x.reshape(len(orders), -1).mean(axis=1) for x in results)
        rest = brier[len(tested) :]
        better = [int((rest <= score).sum()) for score in brier[: len(tested)]]
        p = [(1 + count) / (1 + budget) for count in better]
        named = dict(zip(tested, p, strict=True))
        return _Ranks(named, accuracy[len(tested) :], float(accuracy[0]))

    def accuracy_by_order(self) -> dict[str, np.ndarray]:
        """The accuracy of the network on each split, by kind of order."""
        splits = np.arange(self.seeds)
        orders = {
            name: np.repeat(order, REPEATS, axis=0)
            for name, order in self.tested_orders(splits).items()
        }
        orders["other"] = self.random_orders(self.seeds * REPEATS)
        each = np.tile(np.repeat(splits, REPEATS), len(orders))
        accuracy, _ = self.train("CNN", each, np.concatenate(list(orders.values())))
        means = accuracy.reshape(len(orders), self.seeds, REPEATS).mean(axis=-1)
        return dict(zip(orders, means, strict=True))

    def rivals(self) -> dict[str, np.ndarray]:
        """The accuracy of methods that do not depend on the order, on each split."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        order = np.tile(np.arange(self.positions), (self.seeds * REPEATS, 1))
        each = np.repeat(np.arange(self.seeds), REPEATS)
        accuracy, _ = self.train("MLP", each, order)
        trees = []
        for train_x, train_y, test_x, test_y in zip(*self.splits, strict=True):
            rows, unseen = (part.reshape(len(part), -1) for part in (train_x, test_x))
            boosted = HistGradientBoostingClassifier(max_iter=50, random_state=0)
            trees.append(boosted.fit(rows, train_y).score(unseen, test_y))
        means = accuracy.reshape(self.seeds, REPEATS).mean(axis=-1)
        return {"MLP": means, "boosted trees": np.array(trees)}
