"""What do well-known networks cost, and what does depth do to their accuracy?

    python -m experiments.networks
    python -m experiments.networks --skip-times

First a table of the networks: weights, multiply-adds, receptive field, and time per
image. Then depth: plain networks of 20 and of 56 layers train on the 1,797 digits at
their own 8 × 8 pixels, and so do the same networks with a shortcut around every two
layers; five seeds each, with a split of their own. He et al. 2015, figures 1 and 6: a
deeper plain network has a higher error rate, on the training split too, and shortcuts
remove this effect.

Expected: 56 plain layers end with a higher training error rate than 20; with shortcuts
they do not. 12 minutes on 2 CPU cores, of which the time per image takes 4.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import data, models, nn, report, training
from experiments._shared import compiled, finish, percent, points, resplit, start

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
BATCH_SIZE = 8  # Images per call when the time per image is measured.

ErrorRates = dict[str, np.ndarray]  # Kind of network → error rate of every seed.


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/networks`; the date and time by default.
        runs: Root folder of all runs.
        only: Networks in the table; all by default.
        skip_times: Leaves out the time per image.
        seeds: Number of networks of each kind, each with its own split of the digits.
        epochs: Training epochs.
        learning_rate: Maximum of the one-cycle schedule.
        seed: Random seed of the whole experiment.
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
    """The folder, and the error rates on the training and on the test split."""

    folder: Path
    training: ErrorRates
    test: ErrorRates


def run(config: Config) -> Result:
    """Runs the experiment from the table to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "networks", config.name, config)
    page = report.Page("Well-known networks")
    table(page, config)
    train, test = depth(page, config)
    folder.log({"training": train, "test": test})
    finish(page, folder, began)
    return Result(folder.folder, train, test)


def table(page: report.Page, config: Config) -> None:
    """Adds the size, cost and receptive field of every network."""
    page.section("Size and cost")
    for_images = [name for name in models.MODELS if len(models.made_for(name)) == 3]
    rows = []
    for name in config.only or for_images:
        row = _size_and_cost(name)
        rows.append(row if config.skip_times else [*row, _milliseconds(name)])
    columns = ["", "year", "weights, M", "mult-adds, M", "layers", "field", "of"]
    page.table(columns if config.skip_times else [*columns, "ms"], rows)
    text = (
        "Weights in millions. Multiply-adds for one image, in millions. Layers: "
        "convolutions and fully connected layers, with those of shortcuts. Field: the "
        "receptive field of a unit of the last maps along one side, in pixels, of an "
        "image of the size in the next column."
    )
    times = f" ms: time per image in batches of {BATCH_SIZE}, the best of five."
    page.text(text if config.skip_times else text + times)


def _size_and_cost(name: str) -> list[str]:
    shape = models.made_for(name)
    summary = nn.summary(models.outline(name), shape)
    fields = [
        row.receptive_field.size[0] for row in summary.rows if row.receptive_field
    ]
    layers = sum(row.kind in ("Conv", "Dense") for row in summary.rows)
    year = next((y for key, y in YEARS.items() if name.startswith(key)), "")
    return [
        name,
        str(year),
        f"{summary.parameters / 1e6:.2f}",
        f"{summary.multiply_adds / 1e6:,.0f}",
        str(layers),
        f"{max(fields)}",
        f"{shape[0]}²",
    ]


def _milliseconds(name: str) -> str:
    """Milliseconds per image, the best of five calls."""
    net = models.build(name, rngs=nnx.Rngs(0))
    evaluation = {"deterministic": True, "use_running_average": True}
    graph, state = nnx.split(nnx.view(net, raise_if_not_found=False, **evaluation))
    logits = compiled(lambda state, x: nnx.merge(graph, state)(x))
    x, times = jnp.ones((BATCH_SIZE, *models.made_for(name))), []
    logits(state, x).block_until_ready()  # Compiles.
    for _ in range(5):
        began = time.perf_counter()
        logits(state, x).block_until_ready()
        times.append(time.perf_counter() - began)
    jax.clear_caches()
    return f"{min(times) / BATCH_SIZE * 1e3:.1f}"


def depth(page: report.Page, config: Config) -> tuple[ErrorRates, ErrorRates]:
    """Trains plain and residual networks of two depths, on all seeds."""
    page.section("Depth, without and with shortcuts")
    digits = data.load("digits")
    splits = [resplit(digits, config.seed + i) for i in range(config.seeds)]
    train, test, curves = {}, {}, {}
    for design in ("plain", "residual"):
        curves[design] = {}
        for layers in DEPTHS:
            kind = f"{design}, {layers} layers"
            nets = _networks(config, layers, plain=design == "plain")
            records = _train(page, config, kind, nets, splits)
            curves[design][f"{layers} layers"] = _curve(records)
            train[kind], test[kind] = _error_rates(nets, splits)
    _show(page, curves, train, test)
    return train, test


def _networks(config: Config, layers: int, *, plain: bool) -> list[nn.Chain]:
    return [
        models.small_resnet(
            depth=layers, plain=plain, channels=1, rngs=nnx.Rngs(config.seed + i)
        )
        for i in range(config.seeds)
    ]


def _train(
    page: report.Page,
    config: Config,
    kind: str,
    nets: list[nn.Chain],
    splits: list[data.Dataset],
) -> list[training.Record]:
    options = training.Config(
        config.epochs,
        batch_size=64,
        optimizer="momentum",
        schedule="onecycle",
        learning_rate=config.learning_rate,
        weight_decay=1e-4,
        seed=config.seed,
    )
    records = training.fit(nets, splits, options)
    return list(training.progress_bar(records, name=kind, console=page.console))


def _curve(
    records: list[training.Record],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs, and mean and standard deviation of the training error rate in %."""
    errors = np.array([100 * record.metrics["error"] for record in records])
    return np.arange(1, len(errors) + 1), errors.mean(axis=1), errors.std(axis=1)


def _error_rates(
    nets: list[nn.Chain], splits: list[data.Dataset]
) -> tuple[np.ndarray, np.ndarray]:
    """The error rates of each network on its training and on its test split."""
    pairs = list(zip(nets, splits, strict=True))
    train = [training.evaluate(net, split.train)["error"] for net, split in pairs]
    test = [training.evaluate(net, split.test)["error"] for net, split in pairs]
    return np.array(train), np.array(test)


def _show(page: report.Page, curves: dict, train: ErrorRates, test: ErrorRates) -> None:
    figure = report.curves(curves, x="epoch", y="training error rate, %", columns=2)
    page.figure(figure, "Mean and standard deviation over seeds.")
    rows = [
        [kind, *(percent(errors[kind], digits=2) for errors in (train, test))]
        for kind in train
    ]
    page.table(["error rate in %, mean ± sd", "training", "test"], rows)
    for design in curves:
        page.text(_cost_of_depth(design, train))


def _cost_of_depth(design: str, train: ErrorRates) -> str:
    """The paired difference between the training error rates of both depths."""
    few, many = (train[f"{design}, {layers} layers"] for layers in DEPTHS)
    if len(few) < 2:
        return f"{design}: an interval needs two seeds or more."
    difference = training.mean_interval(many - few)
    return (
        f"{design}: {DEPTHS[1]} layers minus {DEPTHS[0]} layers, training error rate "
        f"with the 95 % interval of the paired difference: "
        f"{points(difference, digits=2)} points."
    )


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("networks", run, Config, __doc__)


if __name__ == "__main__":
    main()
