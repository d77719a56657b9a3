"""When to stop, and which weights are the best."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_jax.training.config import Config
from cnn_jax.training.record import Record


@dataclass
class EarlyStopping:
    """Stops training when the validation loss no longer improves.

    Several networks that train together stop together, by their mean loss.

    Args:
        config: Holds `patience` and `desired_error`.
        best: The lowest score so far.
        score: The score of the last record: its validation loss, or its training loss
            where there is no validation split.
        waited: Records since the best.
        records: The number of records.
        done: Whether training stops.
    """

    config: Config
    best: float = math.inf
    score: float = math.inf
    waited: int = 0
    records: int = 0
    done: bool = False

    def update(self, record: Record) -> bool:
        """Takes a record into account; returns whether it is the best so far."""
        self.score = float(np.mean(record.metrics.get("validation_loss", record.loss)))
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
        """Takes over what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)
