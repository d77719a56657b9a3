"""Sections of a page that several commands print."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnn_jax import locality, models, nn, report, trained, training
from cnn_jax.data import Dataset
from cnn_jax.data.dataset import labels, length

MAX_ROWS = 40  # Classes that a table lists.
IMBALANCE = 3  # The ratio of class sizes from which a remark is made.


def show_data(page: report.Page, name: str, dataset: Dataset) -> None:
    """Adds the number of examples per class and split, remarks and broken files.

    Args:
        page: The page.
        name: The name of the data.
        dataset: The data.
    """
    page.section(f"The data: {name}")
    splits = dataset.splits()
    counts = {name: class_counts(split) for name, split in splits.items()}
    rows = [
        [name, *(f"{counts[split][i]:,}" for split in splits)]
        for i, name in enumerate(dataset.classes[:MAX_ROWS])
    ]
    more = len(dataset.classes) - len(rows)
    rows += [[f"{more} more", *("…" for _ in splits)]] if more > 0 else []
    rows.append(["all", *(f"{length(its):,}" for its in splits.values())])
    quantity = np.issubdtype(labels(dataset.train).dtype, np.floating)
    page.table(["quantity" if quantity else "class", *splits], rows)
    origin = dataset.origin
    for line in () if origin is None else origin.notes:
        page.text(_sentence(line))
    broken = {} if origin is None else origin.broken
    if broken:
        page.table(["could not be read", "reason"], list(map(list, broken.items())))


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def class_counts(split: Any) -> Counter[int]:
    """The number of examples of each class; of a quantity, of all."""
    each = labels(split)
    if np.issubdtype(each.dtype, np.floating):
        return Counter({0: len(each)})
    return Counter(each.tolist())


def show_imbalance(page: report.Page, dataset: Dataset, weights: Any) -> None:
    """Adds a remark where classes differ much in size and have no weights.

    Args:
        page: The page.
        dataset: The data.
        weights: The class weights of the training.
    """
    counts = class_counts(dataset.train)
    sizes = {name: counts[i] for i, name in enumerate(dataset.classes)}
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if weights is None and sizes[large] >= IMBALANCE * sizes[small]:
        page.text(
            f"Classes differ in size: {large!r} has {sizes[large]:,} training "
            f"examples, {small!r} has {sizes[small]:,}. `--class-weights balanced` "
            "makes all classes count alike."
        )


def show_plan(
    page: report.Page,
    about: trained.Metadata,
    reason: str,
    config: training.Config,
    dataset: Dataset,
) -> None:
    """Adds the network in one line, and the options of the training.

    Args:
        page: The page.
        about: The metadata of the run.
        reason: The reason for this network.
        config: The options of the training.
        dataset: The data.
    """
    page.section(f"The network: {about.model}, {reason}")
    outline = models.outline(about.model, **about.options)
    cost = nn.summary(outline, dataset.shape).headline()
    page.text(f"{cost}; `cnn-jax summary` shows its stages.")
    inputs = {"image": "images of {} × {} × {}", "signal": "{:,} samples"}
    reads = inputs.get(about.reader["kind"], "{} columns").format(*dataset.shape)
    augment = ", ".join(config.augment) or "none"
    page.text(
        f"It reads {reads}. {config.epochs} epochs in batches of {config.batch_size}, "
        f"{config.optimizer}, {config.schedule} schedule with a peak of "
        f"{config.learning_rate:g}; augmentation: {augment}. The weights with the "
        "lowest validation error are kept."
    )
    if config.frozen is not None:
        slower = f"; before the last they learn at {config.rate_below:g} of the rate"
        page.text(
            f"Stages up to {config.frozen!r} keep their weights, and those after it "
            f"are trained{slower if config.rate_below != 1 else ''}."
        )


def show_changes(page: report.Page, kept: Mapping[str, trained.Kept]) -> None:
    """Adds which changes of images keep their classes, and how that was measured.

    Args:
        page: The page.
        kept: Of `trained.measure_changes`.
    """
    if not kept:
        page.text(
            "A class has a single training image, so that it is not measured whether "
            "images may be mirrored, rotated or recoloured, and they are not."
        )
        return
    original = next(iter(kept.values())).original
    found = ", ".join(f"{100 * one.changed:.0f} % {name}" for name, one in kept.items())
    done = " and ".join(name for name, one in kept.items() if one.harmless)
    page.text(
        f"A simple classifier recognises {100 * original:.0f} % of held-out training "
        f"images, and of their copies {found}. So images are "
        f"{done or 'neither mirrored, rotated nor recoloured'} in training."
    )


def show_verdict(
    page: report.Page, verdict: trained.Verdict, *, first: bool = False
) -> None:
    """Adds the accuracy beside what needs no network, and advice.

    Args:
        page: The page.
        verdict: The verdict.
        first: Whether it comes before everything else in the HTML file.
    """
    page.section(f"Result: {100 * verdict.accuracy:.1f} % right", first=first)
    for line in [verdict.headline(), *verdict.advice()]:
        page.text(line)


def show_locality(page: report.Page, result: locality.Report) -> None:
    """Adds the verdict and the figures behind it.

    Args:
        page: The page.
        result: Of `locality.test`.
    """
    page.section(result.headline())
    for line in [result.reason(), *result.advice()]:
        page.text(line)
    page.section("Accuracy on test rows")
    rows = []
    for name, accuracy in result.accuracy.items():
        mean, std = 100 * accuracy.mean(), 100 * accuracy.std(ddof=1)
        rows.append([name, f"{mean:.1f} ± {std:.1f}"])
    page.table(["", "accuracy, %"], rows)
    page.text(
        "Means over splits and their standard deviation. Only the CNN depends on the "
        "order."
    )
    dots = {
        "in other orders": 100 * result.permuted,
        "as they are": [100 * result.true],
    }
    figure = report.dots({"CNN": dots}, xlabel="accuracy, %")
    page.figure(figure, "One dot per order that the network was trained in.")
    for note in result.notes:
        page.text(_sentence(note))


def show_test(page: report.Page, net: trained.Trained, split: Any) -> None:
    """Adds the accuracy of a network for each class.

    Args:
        page: The page.
        net: The network.
        split: Labelled examples.
    """
    inputs, labels = split[net.reader.kind], split["label"]
    logits = training.predict(net.net, inputs)
    correct = logits.argmax(axis=-1) == labels
    rows = []
    for i, name in enumerate(net.about.classes):
        own = correct[labels == i]
        accuracy = f"{100 * own.mean():.2f}" if len(own) else "–"
        rows.append([name, f"{len(own):,}", accuracy])
    rows.append(["all", f"{len(correct):,}", f"{100 * correct.mean():.2f}"])
    page.section("Accuracy of each class")
    page.table(["class", "examples", "accuracy, %"], rows)
