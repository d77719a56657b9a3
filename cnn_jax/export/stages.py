"""Stages that an export of a trained network begins or ends with."""

from dataclasses import dataclass

from jaxtyping import Array, Float


@dataclass(frozen=True)
class Quantity:
    """Brings the output of a network to the unit of the predicted quantity.

        y = x · deviation + mean

    Args:
        mean: The mean of the quantity in the training split.
        deviation: Its standard deviation there.

    Example:
        >>> import jax.numpy as jnp
        >>> Quantity(mean=10.0, deviation=2.0)(jnp.array([0.0, -1.0]))
        Array([10.,  8.], dtype=float32)
    """

    mean: float
    deviation: float

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The quantity."""
        return x * self.deviation + self.mean
