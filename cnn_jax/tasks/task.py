"""The seam between training and the meaning of outputs."""

import dataclasses
from typing import Any

import chex
import numpy as np
from jaxtyping import Array, Float

from cnn_jax.tasks.metrics import Loss, Metrics, batch_metrics


class Task:
    """What the outputs of a network mean.

    A task is a frozen, hashable record, so that equal tasks share one compilation.
    Outputs and targets are arrays or pytrees of arrays whose first axis is the batch.
    """

    def loss(self, outputs: chex.ArrayTree, targets: chex.ArrayTree) -> Array:
        """One loss per example, or one per example and position or class."""
        raise NotImplementedError

    def metrics(
        self,
        outputs: chex.ArrayTree,
        targets: chex.ArrayTree,
        mask: Float[Array, " batch"] | None = None,
    ) -> Metrics:
        """Sums over a batch, and the `count` of examples that they are divided by.

        Args:
            outputs: Of the network.
            targets: The labels.
            mask: 1 for an example and 0 for a padding row; all count by default.

        Returns:
            `loss`, `count` and other sums by name.
        """
        return batch_metrics(self.loss, outputs, targets, mask)  # pyright: ignore[reportArgumentType]

    def decode(self, outputs: chex.ArrayTree) -> Any:
        """The prediction for each example; by default the outputs themselves."""
        return outputs

    def score(self, decoded: Any, targets: Any) -> dict[str, float]:
        """Metrics that need all predictions at once, by name; by default none."""
        return {}

    def for_evaluation(self) -> "Task":
        """The task without what changes its loss for training only."""
        return self

    def check(
        self, output_shape: tuple[int, ...], labels: np.ndarray, classes: int
    ) -> None:
        """Checks that the loss can compare outputs with labels.

        Args:
            output_shape: The shape of the outputs for one example.
            labels: Labels of some examples.
            classes: The number of classes.

        Raises:
            ValueError: If it cannot.
        """


@dataclasses.dataclass(frozen=True)
class CustomLoss(Task):
    """A task that is known by its loss alone.

    Args:
        function: From outputs and targets to one loss per example, as optax's are.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> task = CustomLoss(optax.squared_error)
        >>> task.metrics(jnp.array([[3.0]]), jnp.array([[1.0]]))["loss"]
        Array(4., dtype=float32)
    """

    function: Loss

    def loss(self, outputs: chex.ArrayTree, targets: chex.ArrayTree) -> Array:
        """What the function returns."""
        return self.function(outputs, targets)  # pyright: ignore[reportArgumentType]
