"""Chapter 5: an X and an O on their way through every layer."""

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax.functional as F
from cnn_jax import nn, report, training
from experiments._shared import compiled

LETTERS = "XO"
SHOWN = 4  # Maps per stage in the figures.


def journey(page: report.Page, net: nn.Chain, test: dict[str, np.ndarray]) -> None:
    """Adds the feature maps and the votes of one X and one O of the test split."""
    page.section("5. Two pictures on their way")
    page.text(
        "The first X and the first O of the test pictures that the network classifies "
        "correctly."
    )
    images = _one_of_each_class(net, test)
    outputs = jax.device_get(compiled(_stage_outputs(net))(jnp.asarray(images)))
    *maps, logits = outputs
    stages = dict(zip(net.names, maps, strict=False))  # The last stage gives logits.
    for i, letter in enumerate(LETTERS):
        shown = {name: maps[i] for name, maps in stages.items()}
        page.figure(
            _maps(letter, images[i, ..., 0], shown),
            f"{letter} after convolution, ReLU and pooling, twice; four of the maps "
            "after each step.",
        )
    _volumes(page, stages)
    _votes(page, logits)


def _one_of_each_class(net: nn.Chain, test: dict[str, np.ndarray]) -> np.ndarray:
    """The first correctly classified image of each class; without one, the first."""
    labels = test["label"]
    correct = training.predict(net, test["image"]).argmax(axis=-1) == labels
    rows = []
    for label in range(len(LETTERS)):
        scores = (labels == label) * (1 + correct)
        rows.append(np.argmax(scores))
    return test["image"][rows]


def _stage_outputs(net: nn.Chain):
    """A function from images to the output of every stage."""

    def run_stages(x: jax.Array) -> list[jax.Array]:
        outputs, previous = [], None
        for name in net.names:
            x = net.run(x, after=previous, upto=name)
            outputs.append(x)
            previous = name
        return outputs

    return run_stages


def _maps(letter: str, image: np.ndarray, stages: dict[str, np.ndarray]):
    """The image and, row by row, maps of each stage, in a grid of five columns."""
    cells: list[np.ndarray | None] = [image]
    titles = [letter]
    for row, (name, maps) in enumerate(stages.items()):
        if row > 0:  # Under the image the first column is empty.
            cells.append(None)
            titles.append("")
        cells += [maps[..., i] for i in range(SHOWN)]
        titles += [f"{name}[{i}]" for i in range(SHOWN)]
    return report.images(cells, titles=titles, columns=1 + SHOWN)


def _volumes(page: report.Page, stages: dict[str, np.ndarray]) -> None:
    rows = []
    for i, letter in enumerate(LETTERS):
        for name, maps in stages.items():
            volume = "×".join(map(str, maps[i].shape))
            extremes = f"{maps[i].min():.2f}", f"{maps[i].max():.2f}"
            rows.append([letter, name, volume, *extremes])
    page.table(["", "stage", "volume", "smallest", "largest"], rows)


def _votes(page: report.Page, logits: np.ndarray) -> None:
    probabilities = np.asarray(F.softmax(jnp.asarray(logits)))
    rows = [
        [letter, *(f"{v:.2f}" for v in votes), *(f"{p:.4f}" for p in shares)]
        for letter, votes, shares in zip(LETTERS, logits, probabilities, strict=True)
    ]
    page.table(
        ["the picture", "vote for X", "for O", "probability of X", "of O"],
        rows,
    )
