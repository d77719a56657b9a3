"""The usual optimizers and schedules by name; any other goes to `fit` as it is."""

from functools import lru_cache
from typing import Literal

import optax

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
ScheduleName = Literal["constant", "cosine", "onecycle"]

OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
}
SCHEDULES = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "cosine": optax.cosine_decay_schedule,
    "onecycle": lambda rate, steps: optax.cosine_onecycle_schedule(steps, rate),
}


@lru_cache(maxsize=32)  # The same names give the same object, so steps compile once.
def optimizer(
    name: OptimizerName, schedule: ScheduleName, learning_rate: float, steps: int
) -> optax.GradientTransformation:
    """An optimizer whose learning rate follows a schedule over so many steps.

    Args:
        name: One of `OPTIMIZERS`.
        schedule: One of `SCHEDULES`.
        learning_rate: The constant rate, where `cosine` starts, or the peak of
            `onecycle`.
        steps: After how many steps the schedule ends.

    Returns:
        An optax transformation.

    Raises:
        ValueError: If a name is unknown, or the learning rate is not positive.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"`optimizer` is {name!r}, but must be in {list(OPTIMIZERS)}.")
    if schedule not in SCHEDULES:
        raise ValueError(
            f"`schedule` is {schedule!r}, but must be in {list(SCHEDULES)}."
        )
    if not learning_rate > 0:
        raise ValueError(f"`learning_rate` is {learning_rate}, but must be positive.")
    return OPTIMIZERS[name](SCHEDULES[schedule](learning_rate, steps))
