"""Is this picture an X or an O, and why does it take a network to tell?

    python -m experiments.xo

First the arithmetic of one small example, number by number. Then two rivals that
compare whole pictures, and five networks, on pictures that are deformed more and more;
one network trained before your eyes, its features, and a picture on its way through
them; and last how weights are found: by nudging each of them, and by automatic
differentiation.

Expected: unseen pictures of moderate strength (0.5) at least 99 % right, of full
strength at least 95 %, and ahead of both rivals there. Under 60 seconds on 2 CPU cores.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree
from sklearn.neighbors import KNeighborsClassifier

import cnn_jax.functional as F
from cnn_jax import data, nn, report, tasks, training
from cnn_jax.models import xo_net
from experiments._shared import compiled, footer, start

METHODS = ("one exemplar", "ideal exemplar", "nearest of all", "network")
EXEMPLARS = 10  # Pairs that are tried, for one may be lucky.
RATE = 0.1  # Of gradient descent, beside nudging.
NUDGE = 0.02  # How far a weight is nudged.
STRENGTHS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/xo/<name>`; the date and time by default.
        runs: Where runs lie.
        data_dir: Where data lies; `$TFDS_DATA_DIR` or `~/tensorflow_datasets` by
            default.
        seeds: Networks, each with test pictures of its own.
        training: What all networks learn from, a configuration of `xo`.
        examples: How many of its pictures, at most.
        epochs: How often the networks see them.
        pictures: Unseen pictures per seed and strength with all deformations at once; a
            fifth of that with one alone.
        desired_error: The share of wrong votes at which the watched network is done.
        sweeps: How often every weight of the small network is nudged.
        seed: Of everything.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data_dir: Path | None = None
    seeds: int = 5
    training: str = "xo/hard"
    examples: int = 2500
    epochs: int = 5
    pictures: int = 600
    desired_error: float = 0.02
    sweeps: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Everything that was reported.

    `right` maps each method and kind of deformation to shares of right answers, of
    shape (strengths, seeds).
    """

    folder: Path
    boards: dict[str, np.ndarray]
    right: dict[str, dict[str, np.ndarray]]
    lead: tuple[float, float, float]
    records: list[training.Record]
    cosine: float
    errors: dict[str, tuple[np.ndarray, np.ndarray]]


def run(config: Config) -> Result:
    """Runs the experiment from the arithmetic to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "xo", config.name, config)
    page = report.Page("X or O? From the pixels to the vote")
    boards = worked_arithmetic(page)

    xo = data.load(config.training, data_dir=config.data_dir)
    xo = data.Dataset(
        train={name: array[: config.examples] for name, array in xo.train.items()},
        test=xo.test,
        classes=xo.classes,
    )
    right, lead = whole_images(page, config, xo)
    net, records = one_network(page, config, xo, folder)
    learned_features(page, net)
    one_of_each = [np.argmax(xo.test["label"] == label) for label in (0, 1)]
    journey(page, net, xo.test["image"][one_of_each])
    cosine, errors = nudging(page, config)

    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, boards, right, lead, records, cosine, errors)


# The arithmetic.

FALLING = 2 * np.eye(3, dtype=np.float32) - 1
FEATURES = {
    "falling": FALLING,
    "cross": np.maximum(FALLING, FALLING[:, ::-1]),
    "rising": FALLING[:, ::-1],
}


def letters() -> tuple[np.ndarray, np.ndarray]:
    """The 9 × 9 X, arms on the diagonals of its inner 7 × 7, and an O beside it."""
    x, o = np.full((2, 9, 9), -1, np.float32)
    for i in range(1, 8):
        x[i, i] = x[i, 8 - i] = 1
    o[1, 3:6] = o[7, 3:6] = o[3:6, 1] = o[3:6, 7] = 1
    o[2, [2, 6]] = o[6, [2, 6]] = 1
    return x, o


def arithmetic(x: jax.Array, o: jax.Array) -> dict[str, jax.Array]:
    """Everything that section 1 computes."""
    features = [jnp.asarray(feature) for feature in FEATURES.values()]
    patches = x[1:4, 1:4], x[3:6, 3:6], -features[0]
    maps = jnp.stack([F.match_feature(x, feature) for feature in features], axis=-1)
    votes = jnp.stack([F.match_feature(x, x), F.match_feature(x, o)]).ravel()
    return {
        "matches": jnp.stack([F.match_feature(p, features[0])[0, 0] for p in patches]),
        "maps": maps,
        "pooled": F.max_pool(maps, (2, 2), ceil_mode=True),
        "rectified": F.relu(maps),
        "votes": votes,
        "tanh": F.tanh(votes),
        "softmax": F.softmax(votes),
    }


def worked_arithmetic(page: report.Page) -> dict[str, np.ndarray]:
    """Matching, convolution, pooling, rectifying and voting with numbers to check."""
    x, o = letters()
    found = jax.device_get(compiled(arithmetic)(jnp.asarray(x), jnp.asarray(o)))
    page.section("1. The arithmetic, number by number")
    matching(page, x, found)
    page.text(
        "The feature is tried at every place of the 9 × 9 picture. The answers make a "
        "map of 7 × 7: where is this feature? Three features make a stack of three "
        "maps, which is a convolution layer."
    )
    _show(page, found["maps"], "The map of the falling diagonal", "A convolution layer")
    page.text(
        "Pooling steps a window of 2 × 2 across each map, 2 at a time, and keeps the "
        "largest value. A window that hangs over the edge counts too, so 7 × 7 becomes "
        "4 × 4."
    )
    _show(page, found["pooled"], "The falling diagonal's, pooled", "Pooled")
    page.text(
        "Rectifying swaps every negative number for 0, and leaves the size alone."
    )
    _show(page, found["rectified"], "The falling diagonal's map", "Rectified")
    page.text(
        "Two more functions: tanh squashes any number into −1 … 1, and softmax turns "
        "votes into probabilities. Let the whole picture's match with an X and with an "
        "O be two votes:"
    )
    columns = ["vote", "tanh", "softmax"]
    table = zip("XO", found["votes"], found["tanh"], found["softmax"], strict=True)
    rows = [[name, *(f"{value:.2f}" for value in values)] for name, *values in table]
    page.table(["", *columns], rows)
    return found


def matching(page: report.Page, x: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """A feature on three patches."""
    page.text(
        "A picture is a board of numbers: 1 where it is white, −1 where it is black. A "
        "feature is a smaller board. To match it with a patch of the picture, multiply "
        "square by square, add up, and divide by the number of squares."
    )
    part = x[3:6, 3:6]
    patches = {
        "all nine agree": x[1:4, 1:4],
        "two of nine do not": part,
        "nothing agrees": -FALLING,
    }
    rows = [
        [name, _products(patch * FALLING), _ninths(match)]
        for (name, patch), match in zip(patches.items(), found["matches"], strict=True)
    ]
    page.table(["a feature on a patch", "the nine products", "match"], rows)
    panels = {"the X": x, "a patch": part, "the feature": FALLING}
    panels |= {"their products": part * FALLING}
    at = [(0, row, column) for row in range(3, 6) for column in range(3, 6)]
    page.figure(
        report.numbers(panels, framed=at),
        "The falling diagonal on the centre of the X: seven squares agree and two do "
        "not, so the match is (7 − 2) / 9 = 5/9.",
    )


def _show(page: report.Page, maps: np.ndarray, caption: str, name: str) -> None:
    """The first map in ninths, and all of them as boards."""
    page.table([""] * maps.shape[1], _board(maps[..., 0]), caption=caption)
    boards = {feature: maps[..., i] for i, feature in enumerate(FEATURES)}
    page.figure(report.numbers(boards), f"{name}: one map per feature.")


def _board(values: Any) -> list[list[str]]:
    return [[_ninths(value) for value in row] for row in np.asarray(values)]


def _ninths(value: Any) -> str:
    """The exact ninth that a float stands for."""
    ninths = round(float(value) * 9)
    text = f"{ninths // 9}" if ninths % 9 == 0 else f"{ninths}/9"
    return text.replace("-", "−")


def _products(board: np.ndarray) -> str:
    return " ".join(f"{value:+.0f}".replace("-", "−") for value in board.flat)


# The rivals.


def whole_images(
    page: report.Page, config: Config, xo: data.Dataset
) -> tuple[dict[str, dict[str, np.ndarray]], tuple[float, float, float]]:
    """Three ways to compare whole pictures, and the network, as deformation grows."""
    page.section("2. Comparing whole pictures, and why that fails")
    page.text(
        "Three rivals compare pixel by pixel: with one X and one O as they come, "
        "deformed like the pictures to be told; with an ideal, clean X and O; or with "
        f"all {len(xo.train['label']):,} training pictures, of which the nearest "
        f"decides. The {config.seeds} networks learn from the same training pictures, "
        "which are deformed in every way at full strength."
    )
    nets = [xo_net(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]
    how = training.Config(
        epochs=config.epochs,
        batch_size=50,
        learning_rate=8e-3,
        schedule="onecycle",
        seed=config.seed,
    )
    records = training.fit(nets, xo, how)
    list(
        training.progress_bar(
            records, name=f"{config.seeds} networks", console=page.console
        )
    )
    right = _right_answers(config, xo, nets)
    return right, _compare(page, config, right)


def _right_answers(
    config: Config, xo: data.Dataset, nets: list[nn.Chain]
) -> dict[str, dict[str, np.ndarray]]:
    """Shares for every method, kind of deformation, strength and seed."""
    flat = xo.train["image"].reshape(len(xo.train["image"]), -1)
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(flat, xo.train["label"])
    ideal = data.draw_xo(np.random.default_rng(0), 2, strength=0.0)["image"]
    kinds = {kind: (kind,) for kind in data.XO_KINDS} | {"all together": data.XO_KINDS}
    cells = [(kind, i) for kind in kinds for i in range(len(STRENGTHS))]
    shape = len(STRENGTHS), config.seeds
    right = {method: {kind: np.zeros(shape) for kind in kinds} for method in METHODS}
    for seed, net in enumerate(nets):
        tests = [_unseen(config, seed, kinds[kind], STRENGTHS[i]) for kind, i in cells]
        images, labels = (
            np.concatenate([test[name] for test in tests])
            for name in ("image", "label")
        )
        answers = {
            "ideal exemplar": _best_match(images, ideal),
            "nearest of all": nearest.predict(images.reshape(len(images), -1)),
            "network": training.predict(net, images).argmax(axis=-1),
        }
        ends = np.cumsum([len(test["label"]) for test in tests])[:-1]
        for method, answer in answers.items():
            shares = [part.mean() for part in np.split(answer == labels, ends)]
            for (kind, i), share in zip(cells, shares, strict=True):
                right[method][kind][i, seed] = share
        for (kind, i), test in zip(cells, tests, strict=True):
            right["one exemplar"][kind][i, seed] = _by_one_exemplar(test)
    return right


def _unseen(
    config: Config, seed: int, kinds: tuple[str, ...], strength: float
) -> dict[str, np.ndarray]:
    """Images that nobody has learnt from, the same for every method."""
    count = config.pictures if len(kinds) > 1 else config.pictures // 5
    which = sum(2 ** data.XO_KINDS.index(kind) for kind in kinds)
    rng = np.random.default_rng((config.seed, seed, which, round(1000 * strength)))
    return data.draw_xo(rng, count, strength=strength, kinds=kinds)


def _best_match(images: np.ndarray, exemplars: np.ndarray) -> np.ndarray:
    """For each picture, which exemplar matches best, over all pixels at once."""
    matches = images.reshape(len(images), -1) @ exemplars.reshape(len(exemplars), -1).T
    return matches.argmax(axis=1)


def _by_one_exemplar(test: dict[str, np.ndarray]) -> float:
    """Of the rest, the share that one picture of each class tells rightly."""
    image, label = test["image"], test["label"]
    whole_pairs = len(label) // 2  # X's and O's take turns.
    pairs = range(0, 2 * min(EXEMPLARS, whole_pairs), 2)
    answers = [_best_match(image, image[first : first + 2]) for first in pairs]
    rest = np.array([np.arange(len(label)) // 2 != first // 2 for first in pairs])
    return (np.array(answers) == label)[rest].mean()


def _compare(
    page: report.Page, config: Config, right: dict[str, dict[str, np.ndarray]]
) -> tuple[float, float, float]:
    """Shows the table, the curves and the lead of the network."""
    rows, panels = [], {}
    for kind in right["network"]:
        panels[kind] = {}
        for method in METHODS:
            mean, spread = _mean(right[method][kind]), _spread(right[method][kind])
            name = kind if method == METHODS[0] else ""
            each = zip(100 * mean, 100 * spread, strict=True)
            rows.append([name, method, *(f"{m:.1f}±{s:.1f}" for m, s in each)])
            panels[kind][method] = (STRENGTHS, 100 * mean, 100 * spread)
    page.table(
        ["strength of", "", *map(str, STRENGTHS)],
        rows,
        caption=f"Right answers in %, mean ± standard deviation, {config.seeds} seeds",
    )
    page.figure(
        report.curves(panels, x="strength of deformation", y="right answers, %"),
        "Each kind of deformation alone, and all together. Bands are one standard "
        f"deviation over {config.seeds} seeds.",
    )
    every = {method: right[method]["all together"] for method in METHODS}
    lead = training.mean_interval(every["network"][-1] - every["nearest of all"][-1])
    moderate = every["network"][1].mean()
    page.text(
        f"All together at strength 0.5, the network is right on {moderate:.1%} of "
        f"unseen pictures, one exemplar on {every['one exemplar'][1].mean():.1%}, the "
        f"ideal one on {every['ideal exemplar'][1].mean():.1%}. At full "
        f"strength the network has {every['network'][-1].mean():.1%} and leads the "
        f"nearest of all by {100 * lead[0]:.1f} points (95 % interval of the paired "
        f"difference: {100 * lead[1]:.1f} to {100 * lead[2]:.1f})."
    )
    return lead


def _mean(shares: np.ndarray) -> np.ndarray:
    return shares.mean(axis=1)


def _spread(shares: np.ndarray) -> np.ndarray:
    return shares.std(axis=1, ddof=1)


# The network.


def one_network(
    page: report.Page, config: Config, xo: data.Dataset, folder: training.Run
) -> tuple[nn.Chain, list[training.Record]]:
    """Trains one network until its error is what was desired."""
    page.section("3. One network learns")
    net = xo_net(rngs=nnx.Rngs(config.seed))
    page.table(*nn.summary(net, xo.shape).table())
    how = training.Config(
        epochs=4 * config.epochs,
        batch_size=50,
        learning_rate=3e-3,
        desired_error=config.desired_error,
        seed=config.seed,
    )
    learning = training.fit(net, xo, how, folder=folder.folder)
    records = list(
        training.progress_bar(learning, name="one network", console=page.console)
    )
    page.table(
        ["epoch", "step", "loss", "wrong"],
        [
            [str(r.epoch), str(r.step), f"{r.loss:.3f}", f"{r.metrics['error']:.2%}"]
            for r in records
        ],
    )
    test = training.evaluate(net, xo.test)
    folder.log({"test": test})
    page.text(
        f"It stops when at most {config.desired_error:.1%} of an epoch's votes are "
        f"wrong. Of {len(xo.test['label']):,} pictures that it never saw, "
        f"{test['error']:.1%} are."
    )
    epochs = [r.epoch for r in records]
    losses, wrong = [r.loss for r in records], [r.metrics["error"] for r in records]
    none = np.zeros(len(records))
    lines = {
        "loss": (epochs, losses, none),
        "share of wrong votes": (epochs, wrong, none),
    }
    page.figure(
        report.curves({"training": lines}, x="epoch", y="", log_y=True),
        "Loss and share of wrong votes, epoch by epoch.",
    )
    return net, records


def learned_features(page: report.Page, net: nn.Chain) -> None:
    """Shows what the two convolutions look for."""
    page.section("4. What it looks for")
    first, second = (
        np.asarray(net.stages[name].kernel[...]) for name in ("conv1", "conv2")
    )
    page.text(
        f"Nobody drew these features: the weights of the first layer, "
        f"{first.shape[-1]} of {first.shape[0]} × {first.shape[1]} pixels, and of the "
        f"second, of which each reads {second.shape[2]} maps."
    )
    most = float(np.abs(first).max())
    page.figure(
        report.images(
            [first[..., 0, i] for i in range(first.shape[-1])], limits=(-most, most)
        ),
        "The features of the first layer; black is negative, white positive.",
    )
    stacked = second.transpose(2, 0, 3, 1)
    gap = ((0, 1), (0, 0), (0, 1))
    rows = [np.pad(part, gap, constant_values=np.nan) for part in stacked]
    mosaic = np.concatenate([row.reshape(row.shape[0], -1) for row in rows])
    page.figure(
        report.images([mosaic], columns=1),
        "The second layer: a column per feature, a row per map that it reads.",
    )
    page.table(
        ["feature", *(str(i) for i in range(first.shape[-1]))],
        [
            [
                "largest weight",
                *(f"{first[..., i].max():.2f}" for i in range(first.shape[-1])),
            ],
            [
                "smallest",
                *(f"{first[..., i].min():.2f}" for i in range(first.shape[-1])),
            ],
        ],
    )


def journey(page: report.Page, net: nn.Chain, images: np.ndarray) -> None:
    """Follows an X and an O through every layer to the vote."""
    page.section("5. Two pictures on their way")

    def every_cut(x: jax.Array) -> list[jax.Array]:
        found, done = [x], None
        for name in net.names:
            found.append(net.run(found[-1], after=done, upto=name))
            done = name
        return found[1:]

    *maps_of_each, votes = jax.device_get(compiled(every_cut)(jnp.asarray(images)))
    shown, titles = [[image[..., 0]] for image in images], []
    rows, letters = [], "XO"
    for name, maps in zip(net.names, maps_of_each, strict=False):
        titles += ["", *(f"{name}[{i}]" for i in range(4))]
        for letter, pictures, each in zip(letters, shown, maps, strict=True):
            pictures += [None] * (len(pictures) % 5 == 0)
            pictures += [each[..., i] for i in range(4)]
            volume = "×".join(map(str, each.shape))
            ends = f"{each.min():.2f}", f"{each.max():.2f}"
            rows.append([letter, name, volume, *ends])
    for letter, pictures in zip(letters, shown, strict=True):
        page.figure(
            report.images(pictures, titles=[letter, *titles[1:]], columns=5),
            f"{letter} filtered, rectified and pooled, twice; four of the maps after "
            "each step.",
        )
    page.table(["", "stage", "volume", "smallest", "largest"], rows[::2] + rows[1::2])
    shares = np.asarray(F.softmax(jnp.asarray(votes)))
    page.table(
        ["the picture", "votes for X", "for O", "probability of X", "of O"],
        [
            [letter, *(f"{v:.2f}" for v in vote), *(f"{p:.4f}" for p in share)]
            for letter, vote, share in zip(letters, votes, shares, strict=True)
        ],
    )


# How weights are found.


@dataclass(frozen=True)
class Found:
    """What nudging and automatic differentiation found, beside one another.

    `errors` maps each to the seconds spent and the error, at the start and after each
    step; `cosine` compares their slopes, and `moved` one sweep with the gradient.
    """

    weights: int
    cosine: float
    moved: float
    errors: dict[str, tuple[np.ndarray, np.ndarray]]


def nudging(
    page: report.Page, config: Config
) -> tuple[float, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Every weight a little up and a little down, beside automatic differentiation."""
    page.section("6. How the weights are found")
    found = _both_ways(config)
    passes = {"nudging": 2 * found.weights + 1, "automatic differentiation": 3}
    page.text(
        f"A small network with {found.weights} weights looks at 100 pictures of 9 × 9. "
        "Nudging asks the error about every weight a little higher and a little lower, "
        "and keeps what is better. Automatic differentiation asks once, and goes back "
        "through the network once. The slopes from nudges of 0.01 and the gradient "
        f"point the same way: their cosine is {found.cosine:.6f}. One sweep of nudges "
        f"of {NUDGE} moves every weight equally far, so it follows the slope with a "
        f"cosine of {found.moved:.2f} only."
    )
    rows = []
    for name, (seconds, values) in found.errors.items():
        each = 1e3 * seconds[-1] / (len(seconds) - 1)
        ends = f"{values[0]:.3f}", f"{values[-1]:.3f}"
        rows.append([name, str(passes[name]), f"{each:.2f}", *ends])
    page.table(
        ["", "passes a step", "ms a step", "error before", "after"],
        rows,
        caption="A pass is one run through the network; a pass back counts as two.",
    )
    lines = {
        name: (1e3 * seconds[1:], values[1:], np.zeros(len(seconds) - 1))
        for name, (seconds, values) in found.errors.items()
    }
    axes: dict[str, Any] = {"x": "milliseconds", "y": "error"}
    page.figure(
        report.curves({"error over time": lines}, **axes, log_x=True, log_y=True),
        "Both make the error less; one pays for every weight.",
    )
    return found.cosine, found.errors


def _both_ways(config: Config) -> Found:
    """Finds the weights of one small network by nudging, and by its gradient."""
    net = xo_net(size=9, features=(2, 4), window=3, rngs=nnx.Rngs(config.seed))
    examples = data.draw_xo(
        np.random.default_rng(config.seed), 100, size=9, strength=0.5
    )
    graph, params = nnx.split(net)
    weights, unravel = ravel_pytree(params)

    def error(weights: jax.Array) -> jax.Array:
        votes = nnx.merge(graph, unravel(weights))(jnp.asarray(examples["image"]))
        return tasks.cross_entropy(votes, jnp.asarray(examples["label"])).mean()

    sweep = compiled(lambda w: training.nudge(error, w, NUDGE))
    slope = compiled(lambda w: training.difference_gradient(error, w, 1e-2))
    gradient, measure = compiled(jax.grad(error)), compiled(error)
    descend = lambda w: w - RATE * gradient(w)  # noqa: E731
    return Found(
        weights=weights.size,
        cosine=_cosine(slope(weights), gradient(weights)),
        moved=_cosine(weights - sweep(weights), gradient(weights)),
        errors={
            "nudging": _descend(sweep, measure, weights, config.sweeps),
            "automatic differentiation": _descend(
                descend, measure, weights, 20 * config.sweeps
            ),
        },
    )


def _cosine(a: jax.Array, b: jax.Array) -> float:
    return float(a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))


def _descend(
    step: Any, error: Any, weights: jax.Array, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds spent in the steps, and the error, at the start and after each."""
    jax.block_until_ready(step(weights))
    seconds, errors = [0.0], [float(error(weights))]
    for _ in range(steps):
        began = time.perf_counter()
        weights = jax.block_until_ready(step(weights))
        seconds.append(seconds[-1] + time.perf_counter() - began)
        errors.append(float(error(weights)))
    return np.array(seconds), np.array(errors)


if __name__ == "__main__":
    start(run, Config, __doc__)
