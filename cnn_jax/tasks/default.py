"""The task that labels and a few options ask for."""

import numpy as np

from cnn_jax.tasks.classification import Classification
from cnn_jax.tasks.losses import LossName, named_loss
from cnn_jax.tasks.regression import Regression
from cnn_jax.tasks.task import Task


def default_task(
    labels: np.ndarray,
    *,
    loss: LossName | None = None,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, ...] | None = None,
) -> Task:
    """The task of a loss, or where none is named, the task that the labels suggest.

    Whole numbers are classes, true and false are several classes at once, and floats
    are quantities.

    Args:
        labels: Labels of some examples.
        loss: The name of a loss.
        label_smoothing: See `Classification`.
        class_weights: See `Classification`.

    Returns:
        A `Classification` or a `Regression`.

    Raises:
        ValueError: If smoothing or weights are asked for where there are no classes.

    Example:
        >>> default_task(np.array([0.5, 0.25]))
        Regression(kind='squared')
    """
    name = loss or _suggested(labels)
    if name == "cross_entropy" or name == "sigmoid":
        return Classification(name == "sigmoid", label_smoothing, class_weights)
    named_loss(name, label_smoothing, class_weights)  # Refuses what needs classes.
    return Regression(name)


def _suggested(labels: np.ndarray) -> LossName:
    if labels.dtype == bool:
        return "sigmoid"
    return "squared" if np.issubdtype(labels.dtype, np.floating) else "cross_entropy"
