"""What a training came to: its accuracy beside what needs no network."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from cnn_jax import training
from cnn_jax.data import Dataset
from cnn_jax.data.dataset import labels
from cnn_jax.nn import Chain
from cnn_jax.trained.baseline import MAX_ROWS, Baseline, baseline, sample
from cnn_jax.trained.quantity import QuantityScores
from cnn_jax.training.run_files import checked_fields, read_json, tuples_in, write_whole

FILE = "verdict.json"
HIDES = ", or augmentation hides what does: try `--augment crop`"
_TUPLES: dict[str, Any] = {  # Named tuples, as they are read from JSON.
    "baseline": tuple[str, float] | None,
    "rmse": tuple[float, float, float],
    "r2": tuple[float, float, float],
}
OVERFIT = 0.1  # The gap between training and test accuracy from which advice is given.


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The accuracy of a network, and of methods that take seconds.

    Args:
        correct: The number of test examples that the network classified rightly.
        count: The number of test examples.
        majority: The share of the test split that one class has at most, which is what
            the best constant answer gets.
        majority_class: The name of this class.
        baseline: A simple classifier; None where there is none to compare with.
        training_accuracy: Of the network on the training split, if it is known.
        kind: `image`, `signal` or `table`.

    Example:
        >>> verdict = Verdict(58, 60, 1 / 3, "leaf")
        >>> verdict.learned, [round(100 * p, 1) for p in verdict.interval]
        (True, [88.6, 99.1])
        >>> print(verdict.headline())
        96.7 % of 60 test examples are right (95 % interval: 88.6 to 99.1). Always
        answering 'leaf' gets 33.3 %.
    """

    correct: int
    count: int
    majority: float
    majority_class: str
    baseline: Baseline | None = None
    training_accuracy: float | None = None
    kind: str = "image"

    @property
    def accuracy(self) -> float:
        """The share of test examples that are right."""
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of the accuracy.

        Source:
            Wilson, "Probable inference, the law of succession, and statistical
            inference", 1927.
        """
        found = stats.binomtest(self.correct, self.count).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    @property
    def learned(self) -> bool:
        """Whether the network is better than a constant answer, beyond chance."""
        return self.interval[0] > self.majority

    def headline(self) -> str:
        """The accuracy with its interval, beside a constant answer and the baseline."""
        low, high = (100 * end for end in self.interval)
        text = (
            f"{100 * self.accuracy:.1f} % of {self.count:,} test examples are right "
            f"(95 % interval: {low:.1f} to {high:.1f}). Always answering "
            f"{self.majority_class!r} gets {100 * self.majority:.1f} %"
        )
        if self.baseline is not None:
            name, accuracy = self.baseline
            text += f", {name} {100 * accuracy:.1f} %"
        text += "."
        if not self.learned:
            text += " The network learned nothing that can be shown."
        return text

    def advice(self) -> list[str]:
        """What to try next; nothing where the network is clearly the best."""
        found = []
        known = self.training_accuracy
        if known is not None and known - self.accuracy > OVERFIT:
            more = {"image": "more examples, `--augment`", "signal": "more examples"}
            found.append(
                f"On the training split {100 * known:.1f} % are right: the network "
                "learned it by heart. What helps: "
                f"{more.get(self.kind, 'more examples')}, or fewer epochs."
            )
        elif known is not None and not self.learned:
            found.append(
                f"On the training split {100 * known:.1f} % are right as well: more "
                "epochs may help, or the inputs do not tell the classes apart"
                f"{HIDES if self.kind == 'image' else ''}."
            )
        if self.baseline is not None and self.baseline.score >= self.accuracy:
            found.append(
                f"The simple method is at least as accurate: use {self.baseline.name}."
            )
        if self.kind == "table" and not found:
            found.append(
                "`cnn-jax locality` tells whether the order of columns counts."
            )
        return found


def judge(net: Chain, dataset: Dataset) -> Verdict:
    """The verdict on a network, on the test split of its data.

    Args:
        net: The network.
        dataset: The data that it was trained on, with one class per example.

    Returns:
        Its accuracy there and on at most 2,000 training examples, and a baseline.
    """
    inputs, known = sample(dataset.train, MAX_ROWS, np.random.default_rng(0))
    error = training.evaluate(net, {"input": inputs, "label": known})["error"]
    kinds = {1: "table", 3: "image"}
    return dataclasses.replace(
        judge_split(net, dataset.test, dataset.classes),
        baseline=baseline(dataset),
        training_accuracy=1 - error,
        kind=kinds.get(len(dataset.shape), "signal"),
    )


def judge_split(
    net: Chain,
    split: Any,
    classes: tuple[str, ...],
    *,
    simple: Baseline | None = None,
) -> Verdict:
    """The verdict on a network, on some examples.

    Args:
        net: The network.
        split: Labelled examples, one class each.
        classes: The names of the classes.
        simple: A baseline on the same examples.
    """
    error = training.evaluate(net, split)["error"]
    each = labels(split)
    counts = np.bincount(each, minlength=len(classes))
    most = int(counts.argmax())
    return Verdict(
        correct=round((1 - error) * len(each)),
        count=len(each),
        majority=float(counts[most] / len(each)),
        majority_class=classes[most],
        baseline=simple,
    )


def write_verdict(folder: str | Path, verdict: Verdict | QuantityScores) -> None:
    """Writes `verdict.json` into a run folder.

    Args:
        folder: The run folder.
        verdict: On classes, or on a quantity.
    """
    text = json.dumps(dataclasses.asdict(verdict), indent=2)
    write_whole(Path(folder) / FILE, text)


def read_baseline(folder: str | Path) -> Baseline | None:
    """The baseline on the test split of a run, if there is one.

    Args:
        folder: The run folder.

    Returns:
        Its name and its accuracy or RMSE; None for runs without a verdict.

    Raises:
        ValueError: If `verdict.json` is not as it was written.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None
    written = tuples_in(read_json(file, dict[str, Any]))
    kind = QuantityScores if "rmse" in written else Verdict
    own = {field.name for field in dataclasses.fields(kind)}
    tuples = {name: one for name, one in _TUPLES.items() if name in own}
    checked_fields(str(file), kind, written, more=tuples)
    pair = written.get("baseline")
    return None if pair is None else Baseline(*pair)
