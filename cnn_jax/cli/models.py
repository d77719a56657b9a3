"""`cnn-jax models`."""

import dataclasses

import jax
from flax import nnx

from cnn_jax import models


@dataclasses.dataclass(frozen=True)
class Models:
    """List the networks."""

    def __call__(self) -> int:
        """Prints a row per network."""
        print(f"{'name':<14}{'input':<13}{'parameters':>12}")
        for name in models.MODELS:
            shape = "×".join(map(str, models.made_for(name)))
            weights = nnx.state(models.outline(name), nnx.Param)
            count = sum(leaf.size for leaf in jax.tree.leaves(weights))
            print(f"{name:<14}{shape:<13}{count:>12,}", flush=True)
        return 0
