"""One line of the history of a training."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Record:
    """Metrics since the record before; an entry per network where there are several.

    Args:
        epoch: The current epoch, from 1.
        step: The number of steps taken.
        loss: The mean loss over the examples of these steps.
        metrics: `error`, the error rate; and the same metrics of the validation split,
            under `validation_loss` and `validation_error`.
        examples_per_second: Over these steps, of all networks together.
        steps: The number of steps if nothing stops training early.
        seconds_left: The time until then, at this speed.
    """

    epoch: int
    step: int
    loss: Any
    metrics: dict[str, Any] = field(default_factory=dict)
    examples_per_second: float = 0.0
    steps: int = 0
    seconds_left: float = 0.0
