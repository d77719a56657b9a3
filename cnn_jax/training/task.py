"""From a configuration to a task and to the specification of a step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optax

from cnn_jax.data import Dataset
from cnn_jax.data.augment import Augment
from cnn_jax.tasks import CustomLoss, Task, default_task
from cnn_jax.tasks.metrics import Loss
from cnn_jax.training.checks import example_of
from cnn_jax.training.config import Config
from cnn_jax.training.step import StepSpec


def task_of(
    config: Config,
    datasets: Sequence[Dataset],
    task: Task | None = None,
    loss: Loss | None = None,
) -> Task:
    """The task of a training.

    Args:
        config: Holds the name of a loss, label smoothing and class weights.
        datasets: Their labels choose the task where no loss is named.
        task: What the caller gave.
        loss: A loss function that the caller gave.

    Returns:
        `task`, or one made from `loss`, or that of the configuration.

    Raises:
        ValueError: If both are given, or class weights cannot be balanced.
    """
    if task is not None and loss is not None:
        raise ValueError("`task` and `loss` are both given, but a task has its loss.")
    if task is not None:
        return task
    if loss is not None:
        return CustomLoss(loss)
    weights = config.class_weights
    if isinstance(weights, str):
        weights = balanced_weights(datasets)
    _, labels = example_of(datasets[0])
    return default_task(
        labels,
        loss=config.loss,
        label_smoothing=config.label_smoothing,
        class_weights=weights,
    )


def balanced_weights(datasets: Sequence[Dataset]) -> tuple[float, ...]:
    """Class weights that make all classes count alike.

        w[c] = n / (classes · n[c])

    Args:
        datasets: Their training splits are counted together.

    Returns:
        One weight per class.

    Raises:
        ValueError: If the labels are not one class per example, are streamed, or a
            class has no example.

    Source:
        scikit-learn, `sklearn.utils.class_weight.compute_class_weight`.
    """
    classes, splits = datasets[0].classes, [one.train for one in datasets]
    if not all(isinstance(split, Mapping) for split in splits):
        raise ValueError(
            "`class_weights` is 'balanced', but the examples are streamed: give a "
            "number for each class."
        )
    labels = np.concatenate([split["label"] for split in splits])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`class_weights` is 'balanced', but the labels are not one class for each "
            "example."
        )
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        missing = [classes[i] for i in np.flatnonzero(counts == 0)]
        raise ValueError(
            f"`class_weights` is 'balanced', but no example has class {missing[0]!r}."
        )
    return tuple((len(labels) / (len(counts) * counts)).tolist())


def spec_of(
    config: Config,
    graph: Any,
    trained: Any,
    task: Task,
    optimizer: optax.GradientTransformation,
    augment: Augment | None,
) -> StepSpec:
    """The specification of a training step."""
    return StepSpec(
        graph,
        trained,
        task,
        optimizer,
        config.batch_size,
        augment=augment,
        mixup=config.mixup,
        cutmix=config.cutmix,
        half=config.precision == "bfloat16",
        accumulate=config.accumulate,
        ema=config.ema,
        heads=config.head_weights,
    )
