"""The sanity checks: do maps change when the weights are randomised?"""

import jax
import numpy as np

from cnn_jax import data, explain, nn, report, training
from experiments.inside.methods import methods

INPUTS = 20  # Images per network.


def sanity_checks(
    page: report.Page, nets: list[nn.Chain], splits: list[data.Dataset], seed: int
) -> dict[str, np.ndarray]:
    """Adds the rank correlations of every method on the digits networks.

    Returns:
        Method → correlations, (seeds, stages): means over images.
    """
    page.section("Do the maps depend on what was learned?")
    page.text(
        "The weights of the digits networks are permuted at random, stage by stage, "
        "from the last to the first. The table has the rank correlation of the sizes "
        "of scores with those of the trained network: mean and standard deviation over "
        f"networks, of {INPUTS} test images each."
    )
    found, stages = {}, ()
    for name, call in methods(splits[0].shape, -1.0).items():
        each = []
        for i, (net, split) in enumerate(zip(nets, splits, strict=True)):
            x, y = split.test["image"][:INPUTS], split.test["label"][:INPUTS]
            checked = explain.sanity(jax.random.key(seed + i), call, net, x, y)
            stages = checked.stages
            each.append(checked.correlations.mean(axis=1))
        found[name] = np.array(each)
    _figure(page, found, stages)
    rows = [[name, *_cells(each)] for name, each in found.items()]
    page.table(["", *(f"… and {stage}" for stage in stages)], rows)
    page.text(_verdict(found))
    page.text(
        "Integrated gradients and occlusion compare with an empty image: a pixel that "
        "equals it scores 0 in every network. That share of their correlation, like "
        "all of that of the input itself, says nothing about what was learned."
    )
    return found


def _cells(each: np.ndarray) -> list[str]:
    mean, deviation = each.mean(axis=0), each.std(axis=0, ddof=1)
    return [f"{m:.2f}±{s:.2f}" for m, s in zip(mean, deviation, strict=True)]


def _figure(
    page: report.Page, found: dict[str, np.ndarray], stages: tuple[str, ...]
) -> None:
    """Adds a diagram per method."""
    steps = np.arange(len(stages) + 1)
    panels = {}
    for name, each in found.items():
        whole = np.concatenate([np.ones((len(each), 1)), each], axis=1)
        panels[name] = {"mean": (steps, whole.mean(axis=0), whole.std(axis=0, ddof=1))}
    figure = report.curves(
        panels, x="stages with random weights, from the last", y="rank correlation"
    )
    page.figure(figure, "Bands are standard deviations over networks.")


def _verdict(found: dict[str, np.ndarray]) -> str:
    """Guided backpropagation beside the gradient, when half is randomised."""
    guided, plain = found["guided backpropagation"], found["saliency"]
    half = guided.shape[1] // 2
    mean, low, high = training.mean_interval(guided[:, half] - plain[:, half])
    return (
        f"With {half + 1} of {guided.shape[1]} stages random, the maps of guided "
        f"backpropagation correlate with those before by {guided[:, half].mean():.2f}, "
        f"those of the gradient by {plain[:, half].mean():.2f}; difference "
        f"{mean:.2f} ({low:.2f} to {high:.2f})."
    )
