"""The report of a run: learning curves, metrics on the test split, worst errors."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import report
from cnn_jax.data import Dataset, as_float, input_name
from cnn_jax.nn import Chain
from cnn_jax.tasks import CustomLoss, Task
from cnn_jax.tasks.metrics import Loss
from cnn_jax.training.evaluate import evaluate, predict
from cnn_jax.training.fingerprint import CONFIGURED
from cnn_jax.training.folder import read_config, read_functions
from cnn_jax.training.record import Record
from cnn_jax.training.run import hardware
from cnn_jax.training.run_files import check_value, checked_fields, parse_json
from cnn_jax.training.task import task_of

SHOWN = 40  # The number of worst errors that are shown.
MAX_NAME = 12  # Letters of a class above an image.


def write_report(
    folder: str | Path,
    net: Chain,
    data: Dataset,
    *,
    task: Task | None = None,
    loss: Loss | None = None,
    page: report.Page | None = None,
) -> Path:
    """Writes `report.html`: learning curves, and metrics on the test split.

    Args:
        folder: The folder that `fit` was given.
        net: The trained network.
        data: The data that it was trained on.
        task: The task that `fit` was given; by default that of the configuration.
        loss: The loss that `fit` was given. If it was given one and the report is not,
            the report has no loss.
        page: A page to continue; a new one by default.

    Returns:
        The path of the page.
    """
    folder = Path(folder)
    page = page or report.Page(f"Training {folder.name}")
    learning_curves(page, read_records(folder))
    functions = read_functions(folder)
    named = task_of(read_config(folder), [data], task).for_evaluation()
    page.section("On the test split")
    metrics = evaluate(net, data.test, task=named if loss is None else CustomLoss(loss))
    own = functions.get("task", functions["loss"])
    if task is None and loss is None and own != CONFIGURED:
        metrics.pop("loss")
        page.text(f"The loss of this training, {own}, was not given to the report.")
    page.table(list(metrics), [[f"{value:.4f}" for value in metrics.values()]])
    if _one_of_many(data):
        inputs = data.test[input_name(data.test)]
        logits, labels = predict(net, inputs), data.test["label"]
        show_errors(page, inputs, logits, labels, data.classes)  # pyright: ignore[reportArgumentType]
    page.write(folder / "report.html", footer=hardware())
    return folder / "report.html"


def _one_of_many(data: Dataset) -> bool:
    """Whether the test split is one array of inputs with one class each."""
    if not hasattr(data.test, "keys") or len(data.test) != 2:
        return False
    labels = data.test["label"]
    return labels.ndim == 1 and not np.issubdtype(labels.dtype, np.floating)


def read_records(folder: str | Path) -> list[Record]:
    """The records that `fit` wrote to `metrics.jsonl`.

    Args:
        folder: The folder that `fit` was given.

    Returns:
        The records in order. It warns of lines that are none, and leaves them out.

    Raises:
        FileNotFoundError: If there are none.
    """
    file = Path(folder) / "metrics.jsonl"
    records, junk = [], []
    for i, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            fields = _record(f"line {i}", line)
        except ValueError as error:
            junk.append(str(error))
            continue
        if fields is not None:
            records.append(Record(**fields))
    names = records[-1].metrics.keys() if records else ()
    whole = [record for record in records if record.metrics.keys() == names]
    more = [f"step {r.step} has other metrics." for r in records if r not in whole]
    if junk or more:
        warnings.warn(
            f"{file} has {len(junk + more)} line(s) that are no record and are left "
            f"out: {(junk + more)[0]}",
            stacklevel=2,
        )
    return whole


def _record(name: str, line: bytes) -> dict[str, Any] | None:
    """The fields of a record; None for a line of something else, such as a note."""
    written = parse_json(name, line)
    check_value(name, written, dict[str, Any])
    if "step" not in written:
        return None
    fields = checked_fields(name, Record, written, more={})
    check_value(f"{name}: `loss`", fields["loss"], float | tuple[float, ...])
    metrics = dict[str, float | list[float]]
    check_value(f"{name}: `metrics`", fields.get("metrics", {}), metrics)
    return fields


def learning_curves(page: report.Page, records: Sequence[Record]) -> None:
    """Adds the curves of the loss and of the error rate.

    Args:
        page: The page.
        records: Those of `fit`; bands are standard deviations over networks.
    """
    if not records:
        page.text("There are no records of this training, and so no curves.")
        return
    steps = np.array([record.step for record in records])
    curves: dict[str, dict[str, Any]] = {
        "loss": {"training": [record.loss for record in records]}
    }
    for name in records[0].metrics:
        split, _, metric = name.rpartition("_")
        values = [record.metrics[name] for record in records]
        curves.setdefault(metric, {})[split or "training"] = values
    for metric, lines in curves.items():
        drawn = {name: (steps, *_mean_and_std(line)) for name, line in lines.items()}
        y = "error rate" if metric == "error" else metric
        figure = report.curves({f"{y} during training": drawn}, x="step", y=y)
        page.figure(figure, f"The {y} over the steps since the record before.")


def _mean_and_std(line: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over networks, for each record."""
    values = np.array([np.atleast_1d(value) for value in line])
    return values.mean(axis=1), values.std(axis=1)


def show_errors(
    page: report.Page,
    inputs: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> np.ndarray:
    """Adds the confusion matrix, the most frequent confusions, and the worst errors.

    The worst errors are those of the highest probability; they are shown if the inputs
    are images.

    Args:
        page: The page.
        inputs: Inputs of the network.
        logits: One row per input.
        labels: True classes.
        classes: Their names.

    Returns:
        The confusion matrix: counts of true classes (rows) by predicted ones (columns).
    """
    from sklearn.metrics import confusion_matrix

    predicted = logits.argmax(axis=-1)
    counts = confusion_matrix(labels, predicted, labels=range(len(classes)))
    caption = "True classes (rows) and predicted classes (columns)."
    page.figure(report.confusion(counts, classes), caption)
    wrong = counts - np.diag(np.diag(counts))
    frequent = [at for at in np.argsort(wrong, axis=None)[::-1][:5] if wrong.flat[at]]
    pairs = [divmod(int(at), len(classes)) for at in frequent]
    rows = [[classes[t], classes[p], str(wrong[t, p])] for t, p in pairs]
    page.table(["true", "predicted", "times"], rows or [["none", "", ""]])
    page.text(f"{wrong.sum():,} of {counts.sum():,} predictions were wrong.")
    _show_worst(page, inputs, logits, labels, classes)
    return counts


def _show_worst(
    page: report.Page,
    inputs: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Adds the images that were misclassified with the highest probability."""
    predicted = logits.argmax(axis=-1)
    highest = np.asarray(jax.nn.softmax(logits.astype(np.float32))).max(axis=-1)
    highest = np.where(predicted == labels, -1, highest)
    worst = np.argsort(-highest, kind="stable")
    worst = worst[: min(SHOWN, int((predicted != labels).sum()))]
    if len(worst) and inputs.ndim == 4 and inputs.shape[-1] in (1, 3):
        pairs = [(int(labels[i]), int(predicted[i])) for i in worst]
        titles = [f"{_cut(classes[t])},\nnot {_cut(classes[p])}" for t, p in pairs]
        page.figure(
            report.images([_displayed(inputs[i]) for i in worst], titles=titles),
            "The worst errors: true class, and predicted class, most probable first.",
        )


def _cut(name: str) -> str:
    """A name that fits above a small image."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _displayed(image: np.ndarray) -> np.ndarray:
    """An image as matplotlib shows it: one channel as it is, three from 0 to 1."""
    if image.shape[-1] == 1:
        return image[..., 0]
    return np.clip((np.asarray(as_float(jax.numpy.asarray(image))) + 1) / 2, 0, 1)
