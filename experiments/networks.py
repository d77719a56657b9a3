"""What do the famous networks cost, and what does depth buy?

    python -m experiments.networks
    python -m experiments.networks --skip-times

First a table of all of them: weights, multiply-adds, how far a unit sees, and how long
a picture takes here. Then depth: plain networks of 20 and of 56 layers learn the 1,797
digits at their own 8 × 8 pixels, and the same networks with shortcuts around every two
layers, five seeds each on splits of their own. He et al. 2015, figure 1 and figure 6: a
deeper plain network learns worse, in training too, and shortcuts cure that.

Expected: 56 plain layers end with a higher training error than 20, and with shortcuts
they do not. Twelve minutes on 2 CPU cores, of which the times take four.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.model_selection import train_test_split

from cnn_jax import data, models, nn, report, training
from experiments._shared import compiled, footer, start

YEARS = {
    "lenet5": 1998,
    "alexnet": 2012,
    "vgg": 2014,
    "googlenet": 2014,
    "resnet": 2015,
    "densenet": 2016,
    "mobilenet": 2017,
}
DEPTHS = (20, 56)


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/networks/<name>`; the date and time by default.
        runs: Where runs lie.
        only: The networks in the table; all by default.
        skip_times: Leaves out how long a picture takes.
        seeds: Networks of each kind, each with its own split of the digits.
        epochs: How often they see every picture.
        learning_rate: The peak of a one-cycle schedule.
        seed: Of everything.
    """

    name: str | None = None
    runs: Path = Path("runs")
    only: tuple[str, ...] = ()
    skip_times: bool = False
    seeds: int = 5
    epochs: int = 15
    learning_rate: float = 0.1
    seed: int = 0

    def __post_init__(self):
        unknown = set(self.only) - set(models.MODELS)
        if unknown:
            raise ValueError(f"`only` names {sorted(unknown)}, which are not there.")


@dataclass(frozen=True)
class Result:
    """What was found: by kind of network, its seeds' errors in training and test."""

    folder: Path
    training: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def run(config: Config) -> Result:
    """Runs the experiment from the table to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "networks", config.name, config)
    page = report.Page("The famous networks")
    table(page, config)
    learned, tested = depth(page, config, folder)
    folder.log({"training": learned, "test": tested})
    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, learned, tested)


def table(page: report.Page, config: Config) -> None:
    """Every network's size, cost and sight."""
    page.section("What they are")
    rows = []
    pictures = [name for name in models.MODELS if len(models.made_for(name)) == 3]
    for name in config.only or pictures:
        shape = models.made_for(name)
        found = nn.summary(models.outline(name), shape)
        fields = [row.receptive_field.size[0] for row in found.rows if row.receptive_field]
        layers = sum(row.kind in ("Conv", "Dense") for row in found.rows)
        year = next((y for key, y in YEARS.items() if name.startswith(key)), "")
        row = [
            name,
            str(year),
            f"{found.parameters / 1e6:.2f}",
            f"{found.multiply_adds / 1e6:,.0f}",
            str(layers),
            f"{max(fields)}",
            f"{shape[0]}²",
        ]
        rows.append(row if config.skip_times else [*row, _milliseconds(name, shape)])
    columns = ["", "year", "weights, M", "multiply-adds, M", "layers", "sees", "of"]
    page.table(columns if config.skip_times else [*columns, "ms"], rows)
    page.text(
        "Millions of weights, and of multiply-adds for one picture; convolutions and "
        "layers of votes, shortcuts' included; pixels that a unit of the last maps "
        "sees along one side, of how many."
        + " Milliseconds per picture, in batches of 8, the best of five."
        * (not config.skip_times)
    )


def _milliseconds(name: str, shape: tuple[int, ...]) -> str:
    net = models.build(name, rngs=nnx.Rngs(0))
    evaluated = {"deterministic": True, "use_running_average": True}
    graph, state = nnx.split(nnx.view(net, raise_if_not_found=False, **evaluated))
    votes = compiled(lambda state, x: nnx.merge(graph, state)(x))
    x, times = jnp.ones((8, *shape)), []
    votes(state, x).block_until_ready()
    for _ in range(5):
        began = time.perf_counter()
        votes(state, x).block_until_ready()
        times.append(time.perf_counter() - began)
    jax.clear_caches()
    return f"{min(times) / 8 * 1e3:.1f}"


def depth(
    page: report.Page, config: Config, folder: training.Run
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Trains plain and residual networks of two depths, all seeds."""
    page.section("What depth buys, and what shortcuts cure")
    splits = [_split(config.seed + i) for i in range(config.seeds)]
    learned, tested, curves = {}, {}, {}
    for plain in (True, False):
        for layers in DEPTHS:
            kind = f"{'plain' if plain else 'residual'}, {layers} layers"
            records, nets = _train(page, config, kind, layers, plain, splits)
            wrong = np.array([100 * record.metrics["error"] for record in records])
            epochs = np.arange(1, len(wrong) + 1)
            line = epochs, wrong.mean(axis=1), wrong.std(axis=1)
            curves.setdefault(kind.split(",")[0], {})[f"{layers} layers"] = line
            learned[kind], tested[kind] = _errors(nets, splits)
    figure = report.curves(curves, x="epoch", y="% wrong in training", columns=2)
    page.figure(figure, "Mean and standard deviation over seeds.")
    rows = [
        [kind, *(_spread(errors[kind]) for errors in (learned, tested))]
        for kind in learned
    ]
    page.table(["% wrong, mean ± sd", "training", "unseen"], rows)
    for kind in ("plain", "residual"):
        page.text(_gap(kind, learned))
    return learned, tested


def _split(seed: int) -> data.Dataset:
    """The digits with a quarter held out, at their own size."""
    loaded = data.load("digits")
    both = [
        np.concatenate([loaded.train[name], loaded.test[name]])
        for name in ("image", "label")
    ]
    parts = train_test_split(*both, test_size=0.25, stratify=both[1], random_state=seed)
    train = {"image": parts[0], "label": parts[2]}
    return data.Dataset(train, {"image": parts[1], "label": parts[3]}, loaded.classes)


def _train(
    page: report.Page,
    config: Config,
    kind: str,
    layers: int,
    plain: bool,
    splits: list[data.Dataset],
) -> tuple[list[training.Record], list[nn.Chain]]:
    nets = [
        models.small_resnet(
            depth=layers, plain=plain, channels=1, rngs=nnx.Rngs(config.seed + i)
        )
        for i in range(config.seeds)
    ]
    how = training.Config(
        config.epochs,
        batch_size=64,
        optimizer="momentum",
        schedule="onecycle",
        learning_rate=config.learning_rate,
        weight_decay=1e-4,
        seed=config.seed,
    )
    records = training.fit(nets, splits, how)
    return list(training.progress_bar(records, name=kind, console=page.console)), nets


def _errors(
    nets: list[nn.Chain], splits: list[data.Dataset]
) -> tuple[np.ndarray, np.ndarray]:
    """The share of wrong votes of each network, in training and on unseen pictures."""
    pairs = list(zip(nets, splits, strict=True))
    learned = [training.evaluate(net, split.train)["error"] for net, split in pairs]
    tested = [training.evaluate(net, split.test)["error"] for net, split in pairs]
    return np.array(learned), np.array(tested)


def _spread(errors: np.ndarray) -> str:
    spread = errors.std(ddof=1) if len(errors) > 1 else 0.0
    return f"{100 * errors.mean():.2f} ± {100 * spread:.2f}"


def _gap(kind: str, learned: dict[str, np.ndarray]) -> str:
    few, many = (learned[f"{kind}, {layers} layers"] for layers in DEPTHS)
    if len(few) < 2:
        return f"{kind}: one seed has no spread."
    mean, low, high = training.mean_interval(100 * (many - few))
    return (
        f"{kind}: {DEPTHS[1]} layers have {mean:+.2f} points of training error over "
        f"{DEPTHS[0]} (95 % interval of the paired difference: {low:.2f} to "
        f"{high:.2f})."
    )


if __name__ == "__main__":
    start(run, Config, __doc__)
