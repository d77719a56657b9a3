"""Do features of some classes help to learn others from few examples?

    python -m experiments.transfer

python -m experiments.transfer --data synthetic_digits

A small network trains on the digits 0 to 4, as images or as spoken words. Its stages
are reused for the digits 5 to 9, of which it is given 5, 10 or 50 examples each: with
all stages frozen but a new last one, whose features are computed once; or with half of
the steps for that stage alone, and then all stages fine-tuned at a tenth of the
learning rate below it. The same network trains from scratch on the same examples, with
as many steps. On images the test split is a quarter, another one for every seed; words
are tested on voices of their own. No hyperparameter was chosen on any of these data.

Expected before the first run: the fewer examples there are, the more reuse helps. It
does not: features of five digits are no help for five others. Fine-tuned, it costs some
points on images and changes nothing that can be shown on words; frozen, it costs more.
2 minutes on 2 CPU cores for images, 5 for words.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from flax import nnx

from cnn_jax import data, models, nn, report, training
from experiments._shared import finish, percent, points, resplit, start

WIDTHS = (24, 48)
RATE = 8000  # Samples per second of the spoken digits.
KNOWN = 5  # Digits below it are those that the features are learned on.
BATCH_SIZE = 25
SCRATCH, FROZEN, TUNED = "from scratch", "reused, frozen", "reused, fine-tuned"
Accuracy = dict[str, dict[int, np.ndarray]]  # Method → examples → every seed.


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/transfer`; the date and time by default.
        runs: Root folder of all runs.
        data: Images of digits, or spoken digits.
        data_dir: Folder of prepared data, as in the other experiments.
        seeds: Number of networks; on images each has its own split.
        examples: Numbers of training examples per class.
        steps: Training steps of each network; half of them for the last stage alone
            where others are fine-tuned after it.
        learning_rate: Maximum of the one-cycle schedule.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data: Literal["digits", "synthetic_digits"] = "digits"
    data_dir: Path | None = None
    seeds: int = 5
    examples: tuple[int, ...] = (5, 10, 50)
    steps: int = 400
    learning_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """The folder; and the test accuracy of each method by examples per class.

    Args:
        folder: The folder of the run.
        source: Test accuracy on the first digits, of every seed.
        accuracy: Test accuracy on the other digits, of every seed.
    """

    folder: Path
    source: np.ndarray
    accuracy: Accuracy


def run(config: Config) -> Result:
    """Runs the experiment from the first training to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "transfer", config.name, config)
    page = report.Page("Features of some classes, reused for others")
    splits = datasets(config)
    sources = networks(config)
    first = [halved(split, known=True) for split in splits]
    page.section("The digits 0 to 4")
    train(page, "0 to 4", sources, first, options(config, len(first[0].train["label"])))
    source = accuracies(sources, first)
    page.text(f"Test accuracy on these digits: {percent(source)} %.")
    accuracy: Accuracy = {SCRATCH: {}, FROZEN: {}, TUNED: {}}
    page.section("The digits 5 to 9")
    for count in config.examples:
        for method, found in compare(page, config, sources, splits, count).items():
            accuracy[method][count] = found
    show(page, config, accuracy)
    folder.log({"source": source, "accuracy": accuracy})
    finish(page, folder, began)
    return Result(folder.folder, source, accuracy)


def datasets(config: Config) -> list[data.Dataset]:
    """The digits for each seed."""
    found = data.load(config.data, data_dir=config.data_dir)
    if config.data != "digits":
        return [found] * config.seeds
    return [resplit(found, config.seed + i) for i in range(config.seeds)]


def networks(config: Config) -> list[nn.Chain]:
    """A fresh network for each seed."""
    seeds = [nnx.Rngs(config.seed + i) for i in range(config.seeds)]
    if config.data != "digits":
        return [models.sound_net(rate=RATE, classes=KNOWN, rngs=rngs) for rngs in seeds]
    return [
        models.small_vgg(widths=WIDTHS, channels=1, classes=KNOWN, rngs=rngs)
        for rngs in seeds
    ]


def halved(split: data.Dataset, *, known: bool) -> data.Dataset:
    """The digits below 5, or the others, whose labels then begin at 0."""
    parts = {}
    for name in "train", "test":
        whole = split.splits()[name]
        own = (whole["label"] < KNOWN) == known
        parts[name] = {key: array[own] for key, array in whole.items()}
        parts[name]["label"] = parts[name]["label"] % KNOWN
    classes = split.classes[:KNOWN] if known else split.classes[KNOWN:]
    return data.Dataset(train=parts["train"], test=parts["test"], classes=classes)


def few(split: data.Dataset, count: int, seed: int) -> data.Dataset:
    """A training split with so many random examples of each class."""
    labels, rng = split.train["label"], np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(labels == label), count, replace=False)
        for label in range(len(split.classes))
    ]
    chosen = np.concatenate(rows)
    train = {name: array[chosen] for name, array in split.train.items()}
    return data.Dataset(train=train, test=split.test, classes=split.classes)


def options(config: Config, count: int, *, share: float = 1.0) -> training.Config:
    """A training with a share of the steps on so many examples."""
    size = min(BATCH_SIZE, count)
    batches = -(-count // size)
    return training.Config(
        max(1, round(share * config.steps / batches)),
        batch_size=size,
        optimizer="adamw",
        schedule="onecycle",
        learning_rate=config.learning_rate,
        seed=config.seed,
    )


def compare(
    page: report.Page,
    config: Config,
    sources: list[nn.Chain],
    splits: list[data.Dataset],
    count: int,
) -> dict[str, np.ndarray]:
    """The test accuracy of every method with so many examples of each class."""
    sets = [
        few(halved(split, known=False), count, config.seed + i)
        for i, split in enumerate(splits)
    ]
    total = len(sets[0].train["label"])
    whole, half = (options(config, total, share=share) for share in (1.0, 0.5))
    scratch = networks(config)
    train(page, f"{count} each, {SCRATCH}", scratch, sets, whole)
    frozen = reused(config, sources)
    last = frozen[0].names[-2]
    train(page, f"{count} each, {FROZEN}", frozen, sets, whole, frozen=last)
    tuned = reused(config, sources)
    train(page, f"{count} each, last stage", tuned, sets, half, frozen=last)
    below = dataclasses.replace(half, rate_below=0.1)
    train(page, f"{count} each, {TUNED}", tuned, sets, below)
    return {
        method: accuracies(nets, sets)
        for method, nets in ((SCRATCH, scratch), (FROZEN, frozen), (TUNED, tuned))
    }


def reused(config: Config, sources: list[nn.Chain]) -> list[nn.Chain]:
    """Copies of the networks with a new last stage."""
    return [
        models.with_head(nnx.clone(net), classes=KNOWN, rngs=nnx.Rngs(config.seed + i))
        for i, net in enumerate(sources)
    ]


def train(
    page: report.Page,
    name: str,
    nets: list[nn.Chain],
    sets: list[data.Dataset],
    config: training.Config,
    *,
    frozen: str | None = None,
) -> None:
    """Trains a network on each set, with a progress bar."""
    records = training.fit(nets, sets, config, frozen=frozen)
    for _ in training.progress_bar(records, name=name, console=page.console):
        pass


def accuracies(nets: list[nn.Chain], sets: list[data.Dataset]) -> np.ndarray:
    """The test accuracy of each network."""
    errors = [
        training.evaluate(net, one.test)["error"]
        for net, one in zip(nets, sets, strict=True)
    ]
    return 1 - np.array(errors)


def show(page: report.Page, config: Config, accuracy: Accuracy) -> None:
    """Adds the table, the figure and the differences."""
    rows = [
        [method, *(percent(found[count]) for count in config.examples)]
        for method, found in accuracy.items()
    ]
    page.table(["examples per class", *map(str, config.examples)], rows)
    page.text("Test accuracy on the digits 5 to 9 in %, mean ± sd over seeds.")
    curves, counts = {}, np.array(config.examples)
    for method, found in accuracy.items():
        each = 100 * np.array([found[count] for count in config.examples])
        curves[method] = (counts, each.mean(axis=1), each.std(axis=1))
    page.figure(
        report.curves({"": curves}, x="examples per class", y="test accuracy, %"),
        "Mean and standard deviation over seeds.",
    )
    for count in config.examples:
        for method in FROZEN, TUNED:
            page.text(_gain(method, count, accuracy))


def _gain(method: str, count: int, accuracy: Accuracy) -> str:
    """The paired difference to training from scratch."""
    gain = accuracy[method][count] - accuracy[SCRATCH][count]
    if len(gain) < 2:
        return f"{count} examples per class: an interval needs two seeds or more."
    return (
        f"{count} examples per class, {method} minus {SCRATCH}, with the 95 % interval "
        f"of the paired difference: {points(training.mean_interval(gain))} points."
    )


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("transfer", run, Config, __doc__)


if __name__ == "__main__":
    main()
