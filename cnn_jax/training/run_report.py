"""What became of a training, told on a page: how it went, and where it is wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import report
from cnn_jax.data import Dataset, as_float, input_name
from cnn_jax.nn import Chain
from cnn_jax.training.evaluate import evaluate, predict
from cnn_jax.training.folder import read_config, read_functions
from cnn_jax.training.loop import Record
from cnn_jax.training.losses import LOSSES
from cnn_jax.training.metrics import Loss
from cnn_jax.training.run import hardware
from cnn_jax.training.trainer import CONFIGURED

SHOWN = 40  # Of the worst mistakes.


def write_report(
    folder: str | Path,
    net: Chain,
    data: Dataset,
    *,
    loss: Loss | None = None,
    page: report.Page | None = None,
) -> Path:
    """Writes `report.html`: learning curves, and what the network makes of the test.

    Args:
        folder: Which `fit` was given.
        net: What it trained.
        data: What it learned from and is tested on.
        loss: The loss that `fit` was given; the one that the configuration names by
            default. A run that was given one is reported without, where it is missing.
        page: What is gone on with; a new one by default.

    Returns:
        Where the page is.
    """
    folder = Path(folder)
    page = page or report.Page(f"Training {folder.name}")
    learning(page, read_records(folder))
    own = read_functions(folder)["loss"]
    named = LOSSES[read_config(folder).loss]
    page.section("On examples that it never saw")
    found = evaluate(net, data.test, loss=loss or named)
    if loss is None and own != CONFIGURED:
        found.pop("loss")
        page.text(f"The loss of this training, {own}, was not given to the report.")
    page.table(list(found), [[f"{value:.4f}" for value in found.values()]])
    if _one_of_many(data):
        inputs = data.test[input_name(data.test)]
        logits, labels = predict(net, inputs), data.test["label"]
        mistakes(page, inputs, logits, labels, data.classes)
    page.write(folder / "report.html", footer=hardware())
    return folder / "report.html"


def _one_of_many(data: Dataset) -> bool:
    """Whether there are arrays with one class per example."""
    labels = data.test["label"] if hasattr(data.test, "keys") else np.zeros((0, 0))
    return labels.ndim == 1 and not np.issubdtype(labels.dtype, np.floating)


def read_records(folder: str | Path) -> list[Record]:
    """The records that `fit` wrote to `metrics.jsonl`.

    Args:
        folder: Which `fit` was given.

    Returns:
        Them in their order.

    Raises:
        FileNotFoundError: If there are none.
    """
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    found = map(json.loads, lines)
    return [Record(**record) for record in found if "step" in record]


def learning(page: report.Page, records: Sequence[Record]) -> None:
    """Adds the curves of the loss and of the error rate.

    Args:
        page: To which.
        records: What `fit` yielded; bands are standard deviations over networks.
    """
    steps = np.array([record.step for record in records])
    curves: dict[str, dict[str, Any]] = {
        "loss": {"training": [record.loss for record in records]}
    }
    for name in records[0].metrics if records else ():
        which, _, what = name.rpartition("_")
        line = [record.metrics[name] for record in records]
        curves.setdefault(what, {})[which or "training"] = line
    for what, lines in curves.items():
        drawn = {name: (steps, *_spread(line)) for name, line in lines.items()}
        y = "error rate" if what == "error" else what
        figure = report.curves({f"{y} while learning": drawn}, x="step", y=y)
        page.figure(figure, f"The {y}, over the steps since the record before.")


def _spread(line: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations over networks."""
    values = np.array([np.atleast_1d(value) for value in line])
    return values.mean(axis=1), values.std(axis=1)


def mistakes(
    page: report.Page,
    inputs: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> np.ndarray:
    """Adds what was taken for what, and the worst mistakes, as pictures if they are.

    The worst are those of which the network was surest.

    Args:
        page: To which.
        inputs: What was voted on.
        logits: One row per input.
        labels: What it was.
        classes: The names.

    Returns:
        How often each class (rows) was taken for each (columns).
    """
    answers, counts = logits.argmax(axis=-1), np.zeros((len(classes),) * 2, int)
    np.add.at(counts, (labels, answers), 1)
    page.figure(
        report.confusion(counts, classes),
        "True classes (rows) and predicted classes (columns).",
    )
    wrong = counts - np.diag(np.diag(counts))
    most = [at for at in np.argsort(wrong, axis=None)[::-1][:5] if wrong.flat[at]]
    pairs = [divmod(int(at), len(classes)) for at in most]
    rows = [[classes[t], classes[v], str(wrong[t, v])] for t, v in pairs]
    page.table(["true", "taken for", "times"], rows or [["none", "", ""]])
    page.text(f"{wrong.sum():,} of {counts.sum():,} predictions were wrong.")
    sure = np.asarray(jax.nn.softmax(logits.astype(np.float32)))
    sure = np.where(answers == labels, -1, sure.max(axis=-1))
    worst = np.argsort(-sure, kind="stable")[: min(SHOWN, int(wrong.sum()))]
    if len(worst) and inputs.ndim == 4 and inputs.shape[-1] in (1, 3):
        said = [(int(labels[i]), int(answers[i])) for i in worst]
        titles = [f"{classes[t]}, not {classes[v]}" for t, v in said]
        page.figure(
            report.images([_picture(inputs[i]) for i in worst], titles=titles),
            "The worst: what they are, and what they were taken for, the surest first.",
        )
    return counts


def _picture(image: np.ndarray) -> np.ndarray:
    """Values from −1 to 1 as a picture of colours, or of grey as it is."""
    if image.shape[-1] == 1:
        return image[..., 0]
    return np.clip((np.asarray(as_float(jax.numpy.asarray(image))) + 1) / 2, 0, 1)
