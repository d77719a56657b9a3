"""When to stop, and which weights are the best."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_jax.training.config import Config
from cnn_jax.training.record import Record

Score = tuple[float, float]  # Error rate and loss; the lower, the better.


@dataclass
class EarlyStopping:
    """Stops training when the validation split no longer improves.

    A record is better than another if its error rate is lower, or if the error rates
    agree and its loss is lower: error rates are what is reported, and on few examples
    the loss of a constant classifier is often the lowest. Where there is no validation
    split, the loss of the training split decides alone. Several networks that train
    together stop together, by their means.

    Args:
        config: Holds `patience` and `desired_error`.
        best: The lowest score so far.
        score: The score of the last record, error rate and loss; tasks without an error
            rate have 0.
        waited: Records since the best.
        records: The number of records.
        done: Whether training stops.
    """

    config: Config
    best: Score = (math.inf, math.inf)
    score: Score = (math.inf, math.inf)
    waited: int = 0
    records: int = 0
    done: bool = False

    def update(self, record: Record) -> bool:
        """Takes a record into account; returns whether it is the best so far."""
        self.score = score_of(record)
        better = self.score < self.best
        self.best = min(self.best, self.score)
        self.waited = 0 if better else self.waited + 1
        self.records += 1
        patience, desired = self.config.patience, self.config.desired_error
        error = record.metrics.get("error")
        self.done = patience is not None and self.waited >= patience
        if desired is not None and error is not None:
            self.done |= bool(np.all(error <= desired))
        return better

    def state(self) -> dict[str, Any]:
        """Everything but the configuration."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned, also after it was written as JSON."""
        for name, value in state.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)


def score_of(record: Record) -> Score:
    """The error rate and the loss by which records are compared."""
    metrics = record.metrics
    if "validation_loss" not in metrics:
        return 0.0, float(np.mean(record.loss))
    error = float(np.mean(metrics.get("validation_error", 0.0)))
    return error, float(np.mean(metrics["validation_loss"]))
