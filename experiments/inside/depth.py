"""Edges first, shapes later: what each stage of the digits networks makes of images."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnn_jax import data, explain, models, nn, report
from experiments._shared import percent

STAGES = ("active1", "s2", "active3", "s4", "active5", "active6")
UNITS = 8  # Units of each stage that are drawn.


class Depth(NamedTuple):
    """What was measured on the digits networks.

    Attributes:
        separable: Stage → accuracy of a linear classifier on its output, per seed.
        edges: How well filters of the first stage match an oriented edge, per seed.
        untrained: The same before training.
        exceeded: Share of units that `maximize` excites more than the best training
            example does, per seed.
    """

    separable: dict[str, np.ndarray]
    edges: np.ndarray
    untrained: np.ndarray
    exceeded: np.ndarray


def depth(
    page: report.Page,
    nets: list[nn.Chain],
    splits: list[data.Dataset],
    steps: int,
    seed: int,
) -> Depth:
    """Adds filters, separability by depth, and what excites units."""
    page.section("Edges first, shapes later: digits")
    _show_filters(page, nets[0])
    trained = np.array([edge_match(explain.filters(net, "c1")) for net in nets])
    seeds = range(seed, seed + len(nets))
    fresh = [models.build("lenet5_relu", rngs=nnx.Rngs(i)) for i in seeds]
    untrained = np.array([edge_match(explain.filters(net, "c1")) for net in fresh])
    page.text(
        "The largest correlation of a filter of the first stage with an edge in any "
        f"direction is {trained.mean():.2f}±{trained.std(ddof=1):.2f}, before training "
        f"{untrained.mean():.2f}±{untrained.std(ddof=1):.2f}."
    )
    separable = _separability(page, nets, splits)
    exceeded = np.array(
        [
            _exceeded(net, split, steps, seed + i)
            for i, (net, split) in enumerate(zip(nets, splits, strict=True))
        ]
    )
    _show_units(page, nets[0], splits[0], steps, seed)
    page.text(
        f"The images found by `maximize` excite {percent(exceeded)} % of the units of "
        "the three convolutions more than the best training example does. Units that "
        "are 0 in every training example are left out."
    )
    return Depth(separable, trained, untrained, exceeded)


def edge_match(filters: jax.Array) -> float:
    """Mean over filters of the largest |correlation| with an oriented edge."""
    size = filters.shape[1]
    centre = np.arange(size) - (size - 1) / 2
    down, across = np.meshgrid(centre, centre, indexing="ij")
    best = np.zeros(len(filters))
    flat = np.asarray(filters).mean(axis=-1).reshape(len(filters), -1)
    for angle in np.linspace(0, np.pi, 16, endpoint=False):
        for shift in (-1.0, -0.5, 0.0, 0.5, 1.0):
            edge = np.tanh(np.cos(angle) * across + np.sin(angle) * down - shift)
            found = np.corrcoef(np.concatenate([flat, edge.reshape(1, -1)]))[-1, :-1]
            best = np.maximum(best, np.abs(found))
    return float(best.mean())


def _show_filters(page: report.Page, net: nn.Chain) -> None:
    filters = np.asarray(explain.filters(net, "c1"))[..., 0]
    page.figure(
        report.signed_maps(list(filters), columns=6),
        "The six filters of the first convolution.",
    )


def _separability(
    page: report.Page, nets: list[nn.Chain], splits: list[data.Dataset]
) -> dict[str, np.ndarray]:
    """Adds the accuracy of a linear classifier on the output of every stage."""
    found: dict[str, list[float]] = {name: [] for name in ("pixels", *STAGES)}
    for net, split in zip(nets, splits, strict=True):
        for name in found:
            both = split.train["image"], split.test["image"]
            parts = [_features(net, images, name) for images in both]
            model = make_pipeline(
                StandardScaler(), RidgeClassifierCV(alphas=np.logspace(1, 5, 5))
            )
            model.fit(parts[0], split.train["label"])
            found[name].append(float(model.score(parts[1], split.test["label"])))
    fields = {
        row.name: row.receptive_field
        for row in nn.summary(nets[0], splits[0].shape).rows
    }
    arrays = {name: np.array(each) for name, each in found.items()}
    rows = []
    for name, each in arrays.items():
        field = fields.get(name)
        size = "×".join(map(str, field.size)) if field else "all"
        rows.append(
            [name, "1×1" if name == "pixels" else size, percent(each, digits=2)]
        )
    page.table(
        ["stage", "receptive field", "linear classifier, % right"],
        rows,
        caption="Linear separability by depth: a ridge classifier on the output.",
    )
    return arrays


def _features(net: nn.Chain, images: np.ndarray, stage: str) -> np.ndarray:
    if stage == "pixels":
        return images.reshape(len(images), -1)
    return np.asarray(net.run(jnp.asarray(images), upto=stage)).reshape(len(images), -1)


def _exceeded(net: nn.Chain, split: data.Dataset, steps: int, seed: int) -> float:
    """The share of units that an image excites more than any training example."""
    better, key = [], jax.random.key(seed)
    for cut in ("active1", "active3", "active5"):
        top = explain.top_examples(net, split.train["image"], cut, None, k=1)
        best = top.activations[:, 0]
        alive = np.flatnonzero(best > 0)
        found = explain.maximize(
            key, net, cut, alive.tolist(), shape=split.shape, steps=steps
        )
        better += list(np.asarray(found.activations) > best[alive])
    return float(np.mean(better))


def _show_units(
    page: report.Page, net: nn.Chain, split: data.Dataset, steps: int, seed: int
) -> None:
    """Adds the grids of units with images and examples that excite them."""
    key, images = jax.random.key(seed), split.train["image"]
    options: dict[str, Any] = {"shape": split.shape, "steps": steps}
    power = explain.magnitudes(images)
    for cut in ("active1", "active3", "active5"):
        top = explain.top_examples(net, images, cut, None, k=6)
        alive = np.flatnonzero(top.activations[:, 0] > 0)[:UNITS].tolist()
        best = explain.maximize(key, net, cut, alive, **options)
        natural = explain.maco(
            key, net, cut, alive, magnitude=power, crops=0, **options
        )
        rows = {
            f"unit {unit}": [
                np.asarray(best.images[i])[..., 0],
                np.asarray(natural.images[i])[..., 0],
                *top.crops[unit][..., 0],
            ]
            for i, unit in enumerate(alive)
        }
        titles = ["maximize", "maco", "examples"]
        page.figure(
            report.units(rows, titles=titles, limits=(-1.0, 1.0)),
            f"Units of {cut}: images found by ascent, and what the units read in the "
            "training examples that excite them most.",
        )


def show_network(page: report.Page, net: nn.Chain, x: np.ndarray) -> None:
    """Adds filters and feature maps of a network for X's and O's."""
    page.section("A network for X's and O's, opened")
    filters = np.asarray(explain.filters(net, "conv1"))[..., 0]
    page.figure(report.signed_maps(list(filters), columns=8), "Its first filters.")
    for image, letter in zip(x[:2], "XO", strict=True):
        maps = np.asarray(explain.feature_maps(net, jnp.asarray(image), "relu1"))
        later = np.asarray(explain.feature_maps(net, jnp.asarray(image), "pool2"))
        page.figure(
            report.images([image[..., 0], *maps[:7], *later[:8]], columns=8),
            f"An {letter}, its feature maps behind the first ReLU, and eight behind "
            "the second pooling.",
        )
