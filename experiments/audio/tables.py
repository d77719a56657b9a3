"""Tables of accuracy: by condition, and after bands or chunks are reordered."""

import numpy as np

from cnn_jax import report, training
from experiments._shared import percent, points
from experiments.audio.models import CNN, MLP, ModelSpec
from experiments.audio.recordings import NOISE_LEVELS

Accuracy = dict[str, np.ndarray]  # Condition → accuracy of every seed.
Interval = tuple[float, float, float]  # Mean, lower end, upper end.


def compare(
    page: report.Page, accuracy: dict[ModelSpec, Accuracy]
) -> dict[str, Interval]:
    """Adds the accuracy of every network, and the lead of the CNN over the MLP."""
    page.section("Accuracy")
    conditions, seeds = list(accuracy[CNN]), len(accuracy[CNN]["clean"])
    rows = [
        [str(spec), *(percent(shares[name]) for name in conditions)]
        for spec, shares in accuracy.items()
        if not spec.order
    ]
    page.table(["%", *conditions], rows)
    page.text(
        f"Means ± standard deviation of {seeds} networks. All networks train on each "
        "recording twice, clean and in noise of 20, 10 or 0 dB."
    )
    leads = {
        name: training.mean_interval(accuracy[CNN][name] - accuracy[MLP][name])
        for name in (conditions if seeds > 1 else ())
    }
    page.table(
        ["", "CNN minus MLP (95 %)"],
        [[name, points(lead)] for name, lead in leads.items()],
        caption="Points, on the same log-mel spectrograms, without masks, paired by "
        "seed.",
    )
    return leads


def reordering(
    page: report.Page, accuracy: dict[ModelSpec, Accuracy]
) -> dict[ModelSpec, Interval]:
    """Adds the accuracy that networks lose when bands or chunks are reordered."""
    page.section("The value of neighbourhood")
    costs, rows = {}, []
    for spec in [spec for spec in accuracy if spec.order]:
        if len(accuracy[spec]["clean"]) < 2:
            continue
        plain, shuffled = (
            _mean(accuracy[spec._replace(order="")]),
            _mean(accuracy[spec]),
        )
        costs[spec] = training.mean_interval(plain - shuffled)
        cells = percent(shuffled), points(costs[spec])
        rows.append([spec.network, spec.order, *cells])
    page.table(["", "shuffled", "accuracy, %", "cost in points (95 %)"], rows)
    page.text(
        "Each seed has its own order, the same for all recordings. Means over the four "
        "noise levels, without masks. A CNN combines neighbouring bands and chunks. An "
        "MLP has no notion of neighbours, so every order is equivalent for it, apart "
        "from randomness in training."
    )
    return costs


def _mean(accuracy: Accuracy) -> np.ndarray:
    """The mean over noise levels, for every seed."""
    return np.mean([accuracy[name] for name in NOISE_LEVELS], axis=0)
