"""Initializers of weights beside the default of each layer."""

import math
from typing import Any

import jax
from jax.nn.initializers import Initializer, normal, truncated_normal, variance_scaling

# He et al. 2015, arXiv:1502.01852: equations 10 (forward) and 14 (backward).
he_normal_in = variance_scaling(2.0, "fan_in", "normal")
he_normal_out = variance_scaling(2.0, "fan_out", "normal")

# Within ± 1 / √fan_in: the default of PyTorch's layers.
fan_in_uniform = variance_scaling(1 / 3, "fan_in", "uniform")

small_normal = normal(0.01)
small_truncated = truncated_normal(0.01)


def uniform_bias(fan_in: int) -> Initializer:
    """Draws biases uniformly within ± 1 / √fan_in, as PyTorch's layers do.

    Args:
        fan_in: Number of inputs per output.

    Returns:
        An initializer.

    Example:
        >>> bool((abs(uniform_bias(4)(jax.random.key(0), (100,))) <= 0.5).all())
        True

    Source:
        PyTorch, torch.nn.Linear and torch.nn.Conv2d.
    """
    bound = 1 / math.sqrt(fan_in)

    def init(
        key: jax.Array, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        return jax.random.uniform(key, shape, dtype or float, -bound, bound)

    return init
