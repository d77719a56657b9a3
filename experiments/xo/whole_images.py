"""Chapter 2: three methods that compare whole images, and the network."""

from collections.abc import Callable, Sequence

import numpy as np
from flax import nnx
from sklearn.neighbors import KNeighborsClassifier

from cnn_jax import data, nn, report, training
from cnn_jax.models import xo_net
from experiments._shared import percent, points
from experiments.xo.config import Config

METHODS = ("one template", "ideal template", "nearest neighbour", "network")
TEMPLATE_PAIRS = 10  # The mean over several pairs evens out a lucky one.
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
DEFORMATIONS = {kind: (kind,) for kind in data.XO_KINDS}
DEFORMATIONS |= {"all together": data.XO_KINDS}

# Method → deformation → accuracy of shape (strengths, seeds).
Accuracy = dict[str, dict[str, np.ndarray]]
TestSet = dict[str, np.ndarray]


def whole_images(
    page: report.Page, config: Config, xo: data.Dataset
) -> tuple[Accuracy, tuple[float, float, float]]:
    """Adds the accuracy of every method as the deformations get stronger."""
    page.section("2. Comparing whole pictures, and why that fails")
    page.text(
        "Three methods compare pixel by pixel. One template: one X and one O, deformed "
        "like the test pictures. Ideal template: a clean X and a clean O. Nearest "
        f"neighbour: all {len(xo.train['label']):,} training pictures, of which the "
        f"most similar one decides. The {config.seeds} networks train on the same "
        "pictures, which have all deformations at full strength."
    )
    nets = train_networks(page, config, xo)
    accuracy = measure_accuracy(config, xo, nets)
    _show(page, config, accuracy)
    return accuracy, _lead(page, accuracy)


def train_networks(
    page: report.Page, config: Config, xo: data.Dataset
) -> list[nn.Chain]:
    """Trains one network per seed, all in one call of `fit`."""
    nets = [xo_net(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]
    options = training.Config(
        epochs=config.epochs,
        batch_size=50,
        learning_rate=8e-3,
        schedule="onecycle",
        seed=config.seed,
    )
    records = training.fit(nets, xo, options)
    name = f"{config.seeds} networks"
    for _ in training.progress_bar(records, name=name, console=page.console):
        pass
    return nets


def measure_accuracy(
    config: Config, xo: data.Dataset, nets: Sequence[nn.Chain]
) -> Accuracy:
    """Accuracy of every method for each deformation, strength and seed."""
    shape = len(STRENGTHS), config.seeds
    accuracy = {m: {d: np.zeros(shape) for d in DEFORMATIONS} for m in METHODS}
    templates = template_methods(xo)
    for seed, net in enumerate(nets):
        tests = {
            (deformation, i): draw_test_set(config, seed, kinds, strength)
            for deformation, kinds in DEFORMATIONS.items()
            for i, strength in enumerate(STRENGTHS)
        }
        network = {"network": lambda x, net=net: _predicted_classes(net, x)}
        for method, predict in (templates | network).items():
            shares = _accuracy_per_set(predict, list(tests.values()))
            for (deformation, i), share in zip(tests, shares, strict=True):
                accuracy[method][deformation][i, seed] = share
        for (deformation, i), test in tests.items():
            accuracy["one template"][deformation][i, seed] = one_template(test)
    return accuracy


def template_methods(xo: data.Dataset) -> dict[str, Callable]:
    """Functions from images to classes: ideal template and nearest neighbour."""
    flat = xo.train["image"].reshape(len(xo.train["image"]), -1)
    neighbours = KNeighborsClassifier(1, algorithm="brute")
    neighbours.fit(flat, xo.train["label"])
    ideal = data.draw_xo(np.random.default_rng(0), 2, strength=0.0)["image"]
    return {
        "ideal template": lambda images: _best_match(images, ideal),
        "nearest neighbour": lambda images: neighbours.predict(
            images.reshape(len(images), -1)
        ),
    }


def draw_test_set(
    config: Config, seed: int, kinds: tuple[str, ...], strength: float
) -> TestSet:
    """Draws test images, the same for every method."""
    count = config.test_images if len(kinds) > 1 else config.test_images // 5
    bits = sum(2 ** data.XO_KINDS.index(kind) for kind in kinds)
    rng = np.random.default_rng((config.seed, seed, bits, round(1000 * strength)))
    return data.draw_xo(rng, count, strength=strength, kinds=kinds)


def one_template(test: TestSet) -> float:
    """Accuracy on the other images, with one image of each class as template."""
    images, labels = test["image"], test["label"]
    whole_pairs = len(labels) // 2  # X and O alternate.
    pairs = range(0, 2 * min(TEMPLATE_PAIRS, whole_pairs), 2)
    predicted = [_best_match(images, images[first : first + 2]) for first in pairs]
    others = np.array([np.arange(len(labels)) // 2 != first // 2 for first in pairs])
    return (np.array(predicted) == labels)[others].mean()


def _best_match(images: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Index of the template with the largest product with each image."""
    matches = images.reshape(len(images), -1) @ templates.reshape(len(templates), -1).T
    return matches.argmax(axis=1)


def _predicted_classes(net: nn.Chain, images: np.ndarray) -> np.ndarray:
    return training.predict(net, images).argmax(axis=-1)


def _accuracy_per_set(predict: Callable, tests: Sequence[TestSet]) -> list[float]:
    """Accuracy on each test set; one call predicts all of them."""
    images, labels = (
        np.concatenate([test[name] for test in tests]) for name in ("image", "label")
    )
    ends = np.cumsum([len(test["label"]) for test in tests])[:-1]
    return [part.mean() for part in np.split(predict(images) == labels, ends)]


def _show(page: report.Page, config: Config, accuracy: Accuracy) -> None:
    """Adds the table and the curves."""
    rows, panels = [], {}
    for deformation in DEFORMATIONS:
        panels[deformation] = {}
        for method in METHODS:
            shares = accuracy[method][deformation]
            name = deformation if method == METHODS[0] else ""
            rows.append([name, method, *map(percent, shares)])
            mean, deviation = (
                100 * shares.mean(axis=1),
                100 * shares.std(axis=1, ddof=1),
            )
            panels[deformation][method] = (STRENGTHS, mean, deviation)
    page.table(
        ["strength of", "", *map(str, STRENGTHS)],
        rows,
        caption=f"Accuracy in %, mean ± standard deviation over {config.seeds} seeds",
    )
    page.figure(
        report.curves(panels, x="strength of deformation", y="accuracy, %"),
        "Each deformation alone, and all together. Bands are one standard deviation "
        f"over {config.seeds} seeds.",
    )


def _lead(page: report.Page, accuracy: Accuracy) -> tuple[float, float, float]:
    """Adds how far the network is ahead of the nearest neighbour at full strength."""
    every = {method: accuracy[method]["all together"] for method in METHODS}
    moderate = {method: f"{shares[1].mean():.1%}" for method, shares in every.items()}
    lead = training.mean_interval(every["network"][-1] - every["nearest neighbour"][-1])
    page.text(
        f"With all deformations at strength 0.5, the accuracy of the network is "
        f"{moderate['network']}, of one template {moderate['one template']}, of the "
        f"ideal template {moderate['ideal template']}. At full strength the accuracy "
        f"of the network is {every['network'][-1].mean():.1%}. Its paired difference "
        "to the nearest neighbour, with the 95 % interval, is "
        f"{points(lead)} points."
    )
    return lead
