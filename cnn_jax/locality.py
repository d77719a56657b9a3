"""Should I use a convolutional network on this data? A measured answer.

A convolution looks for patterns among neighbours, so it is of use where the order of
the places carries something. That can be tried: put the columns (or pixels, or samples)
into another order, the same for every example, and train the same network again. If it
is as good as before, order carried nothing that it could use.

    report = locality.test(table, labels, key=jax.random.key(0))
    print(report)
"""

import dataclasses
import functools
import math
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Key
from scipy import stats

from cnn_jax import models
from cnn_jax.data.table import MISSING
from cnn_jax.lowering import compiler_options
from cnn_jax.training.trainer import side_by_side

Verdict = Literal[
    "order carries what a CNN can use", "it does not", "not enough data to say"
]
CARRIES, DOES_NOT, NOT_ENOUGH = Verdict.__args__
HEADLINES: dict[str, str] = {
    CARRIES: "Order carries what a CNN can use",
    DOES_NOT: "Order carries nothing that a CNN could use",
    NOT_ENOUGH: "There are not enough data to say what order carries",
}

ALPHA, LEVEL = 0.02, 0.9  # Of the claim, and of the interval that must fit the margin.
ENOUGH = 99  # Permuted orders from which a rank decides.
TEST = 0.3  # The share of rows that is tested on.
REPEATS = 3  # Networks of which the mean counts.
EPOCHS, STEPS, BATCH, RATE = 30, (100, 1000), 64, 3e-3
MOST_ROWS = 4000  # More are not looked at; the effect is plain by then.
LEAST = 10  # Rows of each class.


class Interval(NamedTuple):
    """A mean over splits, and how far off it may be."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        low, high = f"{100 * self.low:+.1f}", f"{100 * self.high:+.1f}"
        return f"{100 * self.mean:+.1f} points ({low} to {high})"


class Splits(NamedTuple):
    """Rows that are learned from and tested on, for each of several splits."""

    train_x: Any  # (splits, rows, places, channels)
    train_y: Any
    test_x: Any
    test_y: Any


@dataclasses.dataclass(frozen=True, eq=False)  # Equal only to itself: it has arrays.
class Report:
    """What was found.

    Args:
        verdict: In words; see `test` for the rule.
        p: How often chance alone would rank the true order as high.
        rule: What p is from: `rank` among permuted orders, or a `t` test.
        effect: Right answers in the true order less those in others, as a share, with
            its 90 % interval.
        right: The share of right answers of each method on each split.
        permuted: That of the network in each permuted order, on the first splits.
        true: That in the true order there.
        rival: The best method beside the network.
        lead: How far the network is ahead of it, with its 95 % interval.
        similar: The same as `effect` for columns in the order of their similarity.
        similar_p: And its p.
        needed: Rows from which an answer is to be expected, if there is none.
        notes: What was done to the data.
    """

    verdict: Verdict
    p: float
    rule: Literal["rank", "t"]
    effect: Interval
    right: dict[str, np.ndarray]
    permuted: np.ndarray
    true: float
    rival: str | None = None
    lead: Interval | None = None
    similar: Interval | None = None
    similar_p: float | None = None
    needed: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.headline()}.", self.reason(), *self.advice()]
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes)])

    def headline(self) -> str:
        """The verdict as a sentence."""
        return HEADLINES[self.verdict]

    def reason(self) -> str:
        """The figures behind the verdict."""
        ways = {"rank": f"rank among {len(self.permuted)} other orders", "t": "t test"}
        return (
            f"A CNN in the true order is ahead of itself in others by {self.effect}; "
            f"p = {self.p:.3f} ({ways[self.rule]})."
        )

    def advice(self) -> list[str]:
        """What follows, in words."""
        lines = []
        if self.needed is not None:
            lines.append(f"About {self.needed:,} rows would decide it.")
        if self.lead is not None:
            ahead, behind = self.lead.low > 0, self.lead.high < 0
            said = "beats" if ahead else "loses to" if behind else "is level with"
            lines.append(f"The CNN {said} the best rival, {self.rival}: {self.lead}.")
        if self.similar is not None and self.similar_p is not None:
            helps = "helps" if self.similar_p <= ALPHA else "does not help"
            lines.append(
                f"Putting similar columns side by side {helps}: {self.similar}; p = "
                f"{self.similar_p:.3f}."
            )
        return lines


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
    """Asks whether the order of places carries anything that a CNN can use.

    A small CNN learns the data as they are, and again under fixed permutations of the
    places, the same for all rows. With at least 99 permuted orders, all on the same
    three splits into rows that are learned from and rows that are tested on, p is the
    rank of the true order by its mean Brier score,

        p = (1 + number of permuted orders that are no worse) / (1 + number of them),

    which is exact: if order means nothing, every rank is as likely. With fewer, p is
    that of the corrected resampled t test over `seeds` splits, whose differences d have

        t = mean(d) / √((1/J + n_test / n_train) · var(d)).

    The decision, fixed in advance: p ≤ 0.02 says *order carries what a CNN can use*;
    otherwise, if the 90 % interval of the effect (of the same t) lies within ± margin,
    *it does not*; otherwise there is *not enough data to say*.

    Everything that is learned from data (filling, scaling, the order by similarity) is
    learned from the training rows of each split. Rows that are equal stay in one part.

    Args:
        inputs: A table (rows, columns) of numbers, with NaN where one is missing, or
            of text; signals (rows, samples, channels); or pictures (rows, height,
            width, channels).
        labels: The class of each row, as a number or a name.
        key: Where the splits, permutations and first weights come from.
        names: Of the columns of a table.
        seeds: Splits J, over which effects are averaged.
        budget: Permuted orders that may be trained.
        margin: The share of right answers that makes no difference.
        rivals: Whether to train a network without convolutions and boosted trees too.

    Returns:
        The verdict and all that it rests on.

    Raises:
        ValueError: If labels are quantities, all alike, or one has fewer than ten
            rows; or an option is out of its range.
        TypeError: If `inputs` has another number of axes.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> table, label = rng.normal(size=(60, 6)), np.arange(60) % 2
        >>> how = {"seeds": 3, "budget": 5, "rivals": False}
        >>> test(table, label, key=jax.random.key(0), **how).verdict
        'not enough data to say'

    Source:
        Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52,
        2003: the corrected resampled t test. Phipson & Smyth, "Permutation
        p-values should never be zero", 2010: (1 + b) / (1 + m). Zhu et al.,
        "Converting tabular data into images", 2021 (IGTD): similar columns as
        neighbours.
    """
    _check_options(seeds, budget, margin)
    given = check(inputs, labels, names)
    found = _Found(given, seeds, key)
    ranks, right = found.ranks(budget), found.orders()
    gains = {kind: right[kind] - right["other"] for kind in ranks.p}
    effects = {kind: found.interval(gain, LEVEL) for kind, gain in gains.items()}
    rule: Literal["rank", "t"] = "rank" if budget >= ENOUGH else "t"
    by_t = {kind: found.t_test(gain) for kind, gain in gains.items()}
    p = ranks.p if rule == "rank" else by_t
    verdict, effect = _verdict(p["true"], effects["true"], margin), effects["true"]
    shares = {"CNN": right["true"]} | (found.rivals() if rivals else {})
    rival = max([*shares][1:], key=lambda name: shares[name].mean(), default=None)
    return Report(
        verdict=verdict,
        p=p["true"],
        rule=rule,
        effect=effect,
        right=shares,
        permuted=ranks.permuted,
        true=ranks.true,
        rival=rival,
        lead=None if rival is None else found.lead(shares, rival),
        similar=effects.get("similar"),
        similar_p=p.get("similar"),
        needed=_needed(effect, margin, len(given.y)) if verdict == NOT_ENOUGH else None,
        notes=tuple(given.notes),
    )


def _check_options(seeds: int, budget: int, margin: float) -> None:
    if seeds < 2:
        raise ValueError(f"`seeds` is {seeds}, but a spread needs at least 2.")
    if budget < 1:
        raise ValueError(f"`budget` is {budget}, but must be at least 1.")
    if not 0 < margin < 1:
        raise ValueError(f"`margin` is {margin}, but must be between 0 and 1.")


def _verdict(p: float, effect: Interval, margin: float) -> Verdict:
    """The rule."""
    if p <= ALPHA:
        return CARRIES
    return DOES_NOT if -margin < effect.low and effect.high < margin else NOT_ENOUGH


def resampled(
    values: np.ndarray, splits: Splits, *, level: float = 0.95
) -> tuple[Interval, float]:
    """The mean of one value per split, whose rows overlap: interval and t test.

    Args:
        values: Such as differences of two methods on the same splits.
        splits: What they were found on.
        level: Of the interval.

    Returns:
        Student's interval with the error √((1/J + n_test / n_train) · var), and how
        often chance alone would be as far above 0.
    """
    count, mean = len(values), float(values.mean())
    correction = 1 / count + splits.test_y.shape[1] / splits.train_y.shape[1]
    error = math.sqrt(correction * values.var(ddof=1))
    reach = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    interval = Interval(mean, mean - reach, mean + reach)
    if error == 0:
        return interval, 0.0 if mean > 0 else 1.0
    return interval, float(stats.t.sf(mean / error, count - 1))


def _needed(effect: Interval, margin: float, rows: int) -> int:
    """Rows from which the interval leaves 0 out, or fits into the margin."""
    reach = (effect.high - effect.low) / 2
    room = max(abs(effect.mean), margin - abs(effect.mean))
    return math.ceil(rows * max(1.5, (reach / room) ** 2) / 10) * 10


# What is learned from.


class Given(NamedTuple):
    """Checked data: (rows, places, channels), and how the places lie."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    size: tuple[int, ...]
    notes: list[str]
    table: bool

    def arm(self, kind: Literal["CNN", "MLP"]) -> "Arm":
        """A network that reads it."""
        return Arm(kind, self.size, self.x.shape[-1], self.classes)


def check(inputs: Any, labels: Any, names: Sequence[str] = ()) -> Given:
    """Data as places with channels, and what was done to them.

    Args:
        inputs: As for `test`.
        labels: As for `test`.
        names: Of the columns of a table.

    Returns:
        Checked data, not yet filled or scaled.

    Raises:
        ValueError: As `test`.
        TypeError: As `test`.
    """
    inputs, notes = np.asarray(inputs), []
    if inputs.ndim not in (2, 3, 4):
        raise TypeError(
            f"`inputs` has {inputs.ndim} axes, but a table has 2, signals 3 and "
            "pictures 4."
        )
    y, classes = _classes(np.asarray(labels), len(inputs))
    table = inputs.ndim == 2
    if table:
        inputs, names = _numbers(inputs, names, notes)
        _look_for_the_label(inputs, names, y)
        size, x = (inputs.shape[1],), inputs[..., None]
    else:
        size, x = inputs.shape[1:-1], np.asarray(inputs, np.float32)
        x = x.reshape(len(x), -1, inputs.shape[-1])
        if not np.isfinite(x).all():
            raise ValueError("`inputs` has values that are NaN or infinite.")
    if math.prod(size) < 2:
        raise ValueError(
            f"`inputs` has {math.prod(size)} place(s), which have no order."
        )
    return Given(x, y, classes, tuple(size), notes, table)


def _classes(labels: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    if labels.shape != (rows,):
        raise ValueError(f"`labels` has shape {labels.shape}, but needs ({rows},).")
    quantity = labels.dtype.kind == "f" and (labels % 1 != 0).any()
    names, y = np.unique(labels, return_inverse=True)
    counts = np.bincount(y)
    few = [f"{name} ({count})" for name, count in zip(names, counts) if count < LEAST]  # noqa: B905
    if quantity or len(few) > max(20, len(names) // 2):
        raise ValueError(
            f"`labels` has {len(names):,} different values, which is a quantity, not "
            "classes; cut it into classes first, as `numpy.digitize` does."
        )
    if len(names) < 2:
        raise ValueError(f"`labels` is always {names[0]}: there is nothing to tell.")
    if few:
        raise ValueError(
            f"`labels` has classes of fewer than {LEAST} rows: {', '.join(few[:5])}; "
            "leave them out or join them."
        )
    return y.astype(np.int32), len(names)


def _numbers(
    inputs: np.ndarray, names: Sequence[str], notes: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Columns of floats: text becomes a column per value, constants are dropped."""
    names = list(names) or [f"column {i + 1}" for i in range(inputs.shape[1])]
    if len(names) != inputs.shape[1]:
        raise ValueError(
            f"`names` has {len(names)} entries, but there are {inputs.shape[1]} "
            "columns."
        )
    columns: dict[str, np.ndarray] = {}
    for name, column in zip(names, inputs.T, strict=True):
        columns |= _encoded(name, column, notes)
    missing = {n: int(np.isnan(c).sum()) for n, c in columns.items()}
    said = [f"{name!r} ({count})" for name, count in missing.items() if count]
    if said:
        notes.append(f"missing values became the mean of their column: {_some(said)}")
    same = [n for n, c in columns.items() if len(np.unique(c[~np.isnan(c)])) < 2]
    if same:
        notes.append(
            f"columns that never change were dropped: {_some(list(map(repr, same)))}"
        )
    kept = {name: column for name, column in columns.items() if name not in same}
    if not kept:
        raise ValueError("`inputs` has no column that ever changes.")
    return np.stack(list(kept.values()), axis=1), list(kept)


def _encoded(name: str, column: np.ndarray, notes: list[str]) -> dict[str, np.ndarray]:
    if column.dtype.kind in "fiub":
        column = column.astype(np.float64)
        if np.isinf(column).any():
            raise ValueError(f"column {name!r} has infinite values.")
        return {name: column}
    cells = [str(cell).strip() for cell in column]
    empty = [cell.lower() in MISSING for cell in cells]
    try:
        cells = [
            "nan" if lost else cell for cell, lost in zip(cells, empty, strict=True)
        ]
        return _encoded(name, np.array(cells, np.float64), notes)
    except ValueError:
        pass
    values = sorted({c for c, lost in zip(cells, empty, strict=True) if not lost})
    notes.append(f"column {name!r} is text and became a column for each value")
    return {f"{name}={v}": np.array([float(c == v) for c in cells]) for v in values}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _look_for_the_label(x: np.ndarray, names: Sequence[str], y: np.ndarray) -> None:
    """Warns of a column that says the label outright."""
    for name, column in zip(names, x.T, strict=True):
        values, codes = np.unique(column, return_inverse=True)
        pairs = len(set(zip(codes.tolist(), y.tolist(), strict=True)))
        if len(values) == pairs == len(np.unique(y)):
            warnings.warn(
                f"column {name!r} is the label by another name; leave it out, or the "
                "question is answered by it alone.",
                stacklevel=4,
            )


def deal(given: Given, seeds: int, rng: np.random.Generator) -> Splits:
    """Deals rows out to learn from and to test on, again and again.

    Equal rows stay in one part; filling and scaling are learned from the first part.

    Args:
        given: Checked data.
        seeds: How often.
        rng: Where chance comes from.

    Returns:
        A split for each seed.
    """
    from sklearn.model_selection import train_test_split

    seen: dict[bytes, int] = {}
    filled = np.nan_to_num(given.x, nan=1e38)
    group = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in filled])
    first = np.unique(group, return_index=True)[1]
    repeated = len(group) - len(first)
    if repeated:
        given.notes.append(f"{repeated} rows repeat another one and stay beside it")
    if len(first) > MOST_ROWS:
        given.notes.append(f"{MOST_ROWS:,} of {len(first):,} rows were looked at")
    groups, dealt = np.arange(len(first)), []
    for _ in range(seeds):
        some = groups
        if len(groups) > MOST_ROWS:
            some = rng.choice(groups, MOST_ROWS, replace=False)
        seed = int(rng.integers(2**31))
        parts = train_test_split(
            some, test_size=TEST, stratify=given.y[first][some], random_state=seed
        )
        dealt.append([np.flatnonzero(np.isin(group, part)) for part in parts])
    fewest = [min(len(pair[i]) for pair in dealt) for i in (0, 1)]
    made = []
    for pair in dealt:
        train, test = (
            rng.permutation(r)[:n] for r, n in zip(pair, fewest, strict=True)
        )
        fill = _scaled if given.table else _levelled
        x, unseen = fill(given.x[train], given.x[test])
        made.append((x, given.y[train], unseen, given.y[test]))
    return Splits(*(np.stack(arrays) for arrays in zip(*made, strict=True)))


def _scaled(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column at mean 0 and deviation 1 by the first, and 0 where it is missing."""
    known = ~np.isnan(train)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, train, 0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, (train - mean) ** 2, 0).sum(axis=0) / count)
    scale = np.where(deviation > 1e-12, 1 / np.maximum(deviation, 1e-12), 0.0)
    filled = (np.nan_to_num((x - mean) * scale) for x in (train, test))
    first, second = (x.clip(-10, 10).astype(np.float32) for x in filled)
    return first, second


def _levelled(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places by one mean and deviation for each channel, so that shapes stay."""
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1)) + 1e-6
    first, second = ((x - mean) / deviation for x in (train, test))
    return first, second


# Training.


@dataclasses.dataclass(frozen=True)
class Arm:
    """A kind of network; equal ones share a compilation.

    Args:
        kind: With convolutions, or without.
        size: How the places lie: (columns,) or (height, width).
        channels: Values at each place.
        classes: How many categories there are to vote for.
    """

    kind: Literal["CNN", "MLP"]
    size: tuple[int, ...]
    channels: int
    classes: int

    def build(self, key: Array) -> nnx.Module:
        """A network with weights from a key."""
        rngs, shape = nnx.Rngs(params=key), (*self.size, self.channels)
        make = models.small_cnn if self.kind == "CNN" else models.mlp
        return make(shape=shape, classes=self.classes, rngs=rngs)


class _Jobs(NamedTuple):
    """What each of many networks learns: a split, in an order, at a rate."""

    split: Array
    order: Array
    rate: Array
    key: Array


def learn(
    arm: Arm,
    splits: Splits,
    split: Sequence[int] | np.ndarray,
    order: np.ndarray,
    *,
    key: Key[Array, ""],
    rate: float | np.ndarray = RATE,
) -> tuple[np.ndarray, np.ndarray]:
    """Trains many networks in one go and tests each.

    Args:
        arm: What they are.
        splits: What there is to learn.
        split: Which of it, for each network.
        order: In which order its places are read, for each network.
        key: Where first weights and batches come from.
        rate: The peak of the schedule, one for all or for each.

    Returns:
        The share of right answers of each on the rows it did not learn from, and its
        Brier score, the mean of the squared distance to the truth.
    """
    keys, count = jax.random.split(key, len(split)), len(split)
    rates = np.broadcast_to(np.asarray(rate, np.float32), (count,))
    jobs = _Jobs(jnp.asarray(split), jnp.asarray(order), jnp.asarray(rates), keys)
    train = functools.partial(_compiled(arm), jax.tree.map(jnp.asarray, splits))
    return _shared(train, jobs)


def _shared(train: Callable[[_Jobs], Any], jobs: _Jobs) -> Any:
    """Runs jobs in as many threads as there are cores: each step is too small for two.

    All parts have the same length, the last filled up, for one compilation.
    """
    count = len(jobs.split)
    parts = 1 if side_by_side() else min(count, os.cpu_count() or 1)
    rows = np.resize(np.arange(count), (parts, -(-count // parts)))
    chunks = [jax.tree.map(lambda x: x[part], jobs) for part in rows]  # noqa: B023
    with ThreadPoolExecutor(parts) as pool:
        found = [jax.tree.map(np.asarray, out) for out in pool.map(train, chunks)]
    return tuple(np.concatenate(each)[:count] for each in zip(*found, strict=True))


@functools.cache
def _compiled(arm: Arm) -> Callable[..., Any]:
    """Trains networks in one dispatch, one beside the other, or after it on a CPU."""

    def every(splits: Splits, jobs: _Jobs) -> tuple[Array, Array]:
        one = functools.partial(_learned, arm, splits)
        return jax.vmap(one)(jobs) if side_by_side() else jax.lax.map(one, jobs)

    return jax.jit(every, compiler_options=compiler_options())


def _learned(arm: Arm, splits: Splits, job: _Jobs) -> tuple[Array, Array]:
    """One network: its share of right answers and its Brier score on unseen rows."""
    size = (*arm.size, arm.channels)
    x, unseen = (
        part[job.split][:, job.order].reshape(-1, *size)
        for part in (splits.train_x, splits.test_x)
    )
    y, truth = splits.train_y[job.split], splits.test_y[job.split]
    keys = jax.random.split(job.key)
    graph, params = nnx.split(arm.build(keys[0]))
    rows = _batches(keys[1], len(x))
    schedule = optax.cosine_onecycle_schedule(len(rows), 1.0)
    optimizer = optax.adamw(lambda step: job.rate * schedule(step), weight_decay=1e-4)

    def step(carry: Any, rows: Array) -> Any:
        params, state = carry

        def loss(params: Any) -> Array:
            logits = nnx.merge(graph, params)(x[rows])
            return optax.softmax_cross_entropy_with_integer_labels(
                logits, y[rows]
            ).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    begin = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(step, begin, rows)
    logits = jax.nn.softmax(nnx.merge(graph, params)(unseen))
    wanted = jax.nn.one_hot(truth, arm.classes)
    right = (logits.argmax(axis=-1) == truth).mean()
    return right, ((logits - wanted) ** 2).sum(axis=-1).mean()


def _batches(key: Array, rows: int) -> Array:
    """Rows of each step, shuffled anew each epoch."""
    batch = min(BATCH, rows)
    each = rows // batch
    steps = int(np.clip(EPOCHS * each, *STEPS))
    keys = jax.random.split(key, -(-steps // each))
    orders = jax.vmap(lambda key: jax.random.permutation(key, rows))(keys)
    return orders[:, : each * batch].reshape(-1, batch)[:steps]


class _Ranks(NamedTuple):
    """Where orders stand among others, by kind, and how often each is right."""

    p: dict[str, float]
    permuted: np.ndarray
    true: float


class _Found:
    """All that is trained on one data set."""

    def __init__(self, given: Given, seeds: int, key: Array):
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        self.rng = np.random.default_rng(seed)
        self.given, self.key, self.seeds = given, key, seeds
        self.splits, self.places = deal(given, seeds, self.rng), given.x.shape[1]

    def interval(self, values: np.ndarray, level: float) -> Interval:
        """Of a mean over these splits."""
        return resampled(values, self.splits, level=level)[0]

    def lead(self, shares: dict[str, np.ndarray], rival: str) -> Interval:
        """Of the network over the rival on the same splits."""
        return self.interval(shares["CNN"] - shares[rival], 0.95)

    def t_test(self, values: np.ndarray) -> float:
        """How often chance alone would be as far above 0."""
        return resampled(values, self.splits)[1]

    def train(self, kind: Any, split: np.ndarray, order: np.ndarray) -> Any:
        """Shares of right answers and Brier scores of many networks."""
        self.key, key = jax.random.split(self.key)
        return learn(self.given.arm(kind), self.splits, split, order, key=key)

    def others(self, count: int) -> np.ndarray:
        """Orders by chance."""
        return np.stack([self.rng.permutation(self.places) for _ in range(count)])

    def similar(self, split: int) -> np.ndarray:
        """Columns beside those they go with, on the rows that are learned from."""
        from scipy.cluster.hierarchy import leaves_list, linkage
        from scipy.spatial.distance import squareform

        with np.errstate(invalid="ignore"):
            likeness = np.corrcoef(self.splits.train_x[split, :, :, 0], rowvar=False)
        away = 1 - np.abs(np.nan_to_num(likeness))
        np.fill_diagonal(away, 0)
        near = squareform((away + away.T) / 2, checks=False)
        return leaves_list(linkage(near, "average", optimal_ordering=True))

    def kinds(self, splits: np.ndarray) -> dict[str, np.ndarray]:
        """The orders in question, for each of some splits."""
        found = {"true": np.tile(np.arange(self.places), (len(splits), 1))}
        if self.given.table and self.places > 2:
            found["similar"] = np.stack([self.similar(int(i)) for i in splits])
        return found

    def ranks(self, budget: int) -> _Ranks:
        """Trains the orders in question and others on the same few splits."""
        splits = np.arange(min(REPEATS, self.seeds))
        kinds = self.kinds(splits)
        others = np.repeat(self.others(budget)[:, None], len(splits), axis=1)
        orders = np.concatenate([np.stack(list(kinds.values())), others])
        each = np.tile(splits, len(orders))
        found = self.train("CNN", each, orders.reshape(-1, self.places))
        right, brier = (x.reshape(len(orders), -1).mean(axis=1) for x in found)
        rest = brier[len(kinds) :]
        better = [int((rest <= score).sum()) for score in brier[: len(kinds)]]
        p = [(1 + count) / (1 + budget) for count in better]
        named = dict(zip(kinds, p, strict=True))
        return _Ranks(named, right[len(kinds) :], float(right[0]))

    def orders(self) -> dict[str, np.ndarray]:
        """The network's share of right answers on each split, by kind of order."""
        splits = np.arange(self.seeds)
        kinds = {
            k: np.repeat(o, REPEATS, axis=0) for k, o in self.kinds(splits).items()
        }
        kinds["other"] = self.others(self.seeds * REPEATS)
        each = np.tile(np.repeat(splits, REPEATS), len(kinds))
        right, _ = self.train("CNN", each, np.concatenate(list(kinds.values())))
        means = right.reshape(len(kinds), self.seeds, REPEATS).mean(axis=-1)
        return dict(zip(kinds, means, strict=True))

    def rivals(self) -> dict[str, np.ndarray]:
        """The same for methods to which order means nothing."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        order = np.tile(np.arange(self.places), (self.seeds * REPEATS, 1))
        right, _ = self.train("MLP", np.repeat(np.arange(self.seeds), REPEATS), order)
        trees = []
        for x, y, unseen, truth in zip(*self.splits, strict=True):
            rows, other = (part.reshape(len(part), -1) for part in (x, unseen))
            grown = HistGradientBoostingClassifier(max_iter=50, random_state=0)
            trees.append(grown.fit(rows, y).score(other, truth))
        means = right.reshape(self.seeds, REPEATS).mean(axis=-1)
        return {"MLP": means, "boosted trees": np.array(trees)}
