"""The section of a training's report that explains its worst errors."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import explain, nn, report, trained, training
from cnn_jax.cli.methods import scores_of
from cnn_jax.cli.pictures import displayed
from cnn_jax.data import Dataset
from cnn_jax.data.dataset import as_float

SHOWN = 8  # The number of errors that are explained.
COLUMNS = 3  # The number of columns of a table that are named.


def show_mistakes(
    page: report.Page, about: trained.Metadata, net: nn.Chain, dataset: Dataset
) -> None:
    """Adds what raised the logits of the most probable wrong predictions.

    Nothing is added where the test split is streamed, labels are quantities, or all
    predictions are right.

    Args:
        page: The page.
        about: The metadata of the run.
        net: The trained network.
        dataset: Its data.
    """
    kind = about.reader["kind"]
    if not isinstance(dataset.test, dict) or about.target is not None:
        return
    inputs, labels = dataset.test[kind], dataset.test["label"]
    probabilities = about.decode(training.predict(net, inputs))
    worst = _worst(probabilities, labels)
    if not len(worst):
        return
    page.section("Why the worst errors?")
    predicted = probabilities[worst].argmax(axis=1)
    front, rest = explain.split_front(explain.evaluated(net))
    x = as_float(jnp.asarray(inputs[worst]))
    x = x if front is None else front(x)
    scores = _scores(rest, x, predicted)
    names = [
        f"{about.classes[labels[i]]}, not {about.classes[p]}"
        for i, p in zip(worst, predicted, strict=True)
    ]
    if scores.ndim == 3:
        figure = report.signed_maps(
            list(scores),
            images=[displayed(np.asarray(one)) for one in x],
            titles=names,
            picture=kind == "image",
        )
        page.figure(
            figure,
            "Integrated gradients of the predicted class, over the inputs: red raised "
            "its logit, blue lowered it.",
        )
    else:
        _columns(page, dataset.reader, scores, names)
    page.text("`cnn-jax explain` explains any file.")


def _worst(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows of the most probable wrong predictions."""
    wrong = probabilities.argmax(axis=1) != labels
    highest = np.where(wrong, probabilities.max(axis=1), -1.0)
    return np.argsort(-highest, kind="stable")[: min(SHOWN, int(wrong.sum()))]


def _scores(net: nn.Chain, x: Array, target: np.ndarray) -> np.ndarray:
    """Integrated gradients from 0, summed over channels."""

    def run(net: nn.Chain, x: Array, target: Array) -> Array:
        return scores_of("integrated_gradients", net, x, target, 0.0).attributions

    return np.asarray(explain.compiled(run, net)(x, jnp.asarray(target)))


def _columns(
    page: report.Page, reader: Any, scores: np.ndarray, names: list[str]
) -> None:
    """Adds the columns with the largest scores of each error."""
    rows = []
    for name, one in zip(names, scores, strict=True):
        order = np.argsort(-np.abs(one))[:COLUMNS]
        rows.append([name, *(f"{reader.names[i]} {one[i]:+.2f}" for i in order)])
    header = ["true class, predicted class", "largest score", "second", "third"]
    caption = "Integrated gradients of the predicted class: what is above 0 raised it."
    page.table(header, rows, caption=caption)
