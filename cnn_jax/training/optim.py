"""The usual optimizers and schedules by name; any other goes to `fit` as it is."""

from functools import lru_cache
from typing import Any, Literal

import jax
import optax

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
ScheduleName = Literal["constant", "step", "cosine", "warmup_cosine", "onecycle"]

OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adam": optax.adam,
}
SCHEDULES = {
    "constant": lambda rate, steps, warmup, drops: optax.constant_schedule(rate),
    "step": lambda rate, steps, warmup, drops: optax.piecewise_constant_schedule(
        rate, {round(d * steps): 0.1 for d in drops}
    ),
    "cosine": lambda rate, steps, warmup, drops: optax.cosine_decay_schedule(
        rate, steps
    ),
    "warmup_cosine": lambda rate, steps, warmup, drops: (
        optax.warmup_cosine_decay_schedule(0.0, rate, round(warmup * steps), steps)
    ),
    "onecycle": lambda rate, steps, warmup, drops: optax.cosine_onecycle_schedule(
        steps, rate
    ),
}


@lru_cache(maxsize=32)
def schedule(
    name: ScheduleName,
    learning_rate: float,
    steps: int,
    *,
    warmup: float = 0.05,
    drops: tuple[float, ...] = (1 / 3, 2 / 3),
) -> optax.Schedule:
    """From a step to its learning rate.

    Args:
        name: One of `SCHEDULES`.
        learning_rate: The constant rate, where `step` and `cosine` start, or the peak
            of `warmup_cosine` and `onecycle`.
        steps: After how many steps the schedule ends.
        warmup: The share of them in which `warmup_cosine` rises, from nothing.
        drops: The shares of them after which `step` falls to a tenth.

    Returns:
        An optax schedule.
    """
    return SCHEDULES[name](learning_rate, steps, warmup, drops)


@lru_cache(maxsize=32)
def slower_below(
    optimizer: optax.GradientTransformation, last: str, factor: float
) -> optax.GradientTransformation:
    """An optimizer whose steps are scaled in all stages but the last.

    Args:
        optimizer: The optimizer.
        last: The name of the last stage of the network.
        factor: The factor of the steps, and so of the learning rate.

    Returns:
        The optimizer itself where the factor is 1.

    Source:
        Howard & Ruder, "Universal language model fine-tuning for text classification",
        2018, arXiv:1801.06146, section 3.2, with two rates in place of one per layer.
    """
    if factor == 1:
        return optimizer

    def scaled(updates: optax.Updates, params: Any) -> optax.Updates:
        return jax.tree.map_with_path(
            lambda path, x: x if path[1].key == last else factor * x, updates
        )

    return optax.chain(optimizer, optax.stateless(scaled))


@lru_cache(maxsize=32)  # The same names give the same object, so steps compile once.
def optimizer(
    name: OptimizerName,
    rate: optax.Schedule,
    *,
    weight_decay: float | None = None,
    clip: float | None = None,
) -> optax.GradientTransformation:
    """An optimizer whose learning rate follows a schedule.

    Args:
        name: `adamw`, or one of `OPTIMIZERS`.
        rate: The schedule.
        weight_decay: λ: `adamw` takes λ · rate of every weight away, 0.0001 by default,
            while the others add λ times the weight to its gradient, 0 by default.
        clip: The largest norm of a whole gradient.

    Returns:
        An optax transformation: clipping, then decay, then the step.
    """
    parts = [] if clip is None else [optax.clip_by_global_norm(clip)]
    if name == "adamw":
        decay = 1e-4 if weight_decay is None else weight_decay
        return optax.chain(*parts, optax.adamw(rate, weight_decay=decay))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay))
    return optax.chain(*parts, OPTIMIZERS[name](rate))
