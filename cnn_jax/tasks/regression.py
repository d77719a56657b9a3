"""Quantities."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Shaped

from cnn_jax.tasks.losses import named_loss
from cnn_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Regression(Task):
    """Outputs are quantities, one for each target.

    Args:
        kind: The loss: `squared`, `absolute` or `huber`.

    Example:
        >>> Regression().score(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))
        {'rmse': 0.70..., 'r2': -1.0}
    """

    kind: Literal["squared", "absolute", "huber"] = "squared"

    def loss(
        self, outputs: Float[Array, "batch ..."], targets: Shaped[Array, "batch ..."]
    ) -> Array:
        """The named loss of each quantity."""
        return named_loss(self.kind)(outputs, targets)

    def score(self, decoded: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Root mean squared error, and the explained share of the variance.

            rmse = √mean((ŷ − y)²),   r2 = 1 − Σ(ŷ − y)² / Σ(y − mean(y))²

        Args:
            decoded: Predictions, (examples, quantities).
            targets: The true values, of the same shape.

        Returns:
            Both, over all quantities.
        """
        from sklearn.metrics import r2_score, root_mean_squared_error

        return {
            "rmse": float(root_mean_squared_error(targets, decoded)),
            "r2": float(r2_score(targets, decoded)),
        }

    def check(
        self, output_shape: tuple[int, ...], labels: np.ndarray, classes: int
    ) -> None:
        """Checks that there is one target for each output.

        Args:
            output_shape: The shape of the outputs for one example.
            labels: Targets of some examples.
            classes: Not used.

        Raises:
            ValueError: If the shapes differ.
        """
        if labels.shape[1:] != output_shape:
            raise ValueError(
                f"each label has shape {labels.shape[1:]}, but `loss` {self.kind!r} "
                f"needs {output_shape} for outputs of shape {output_shape}."
            )
