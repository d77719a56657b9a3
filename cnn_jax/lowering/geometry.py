"""Where the windows of one convolution or pooling lie, and how wide its sums are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Geometry(NamedTuple):
    """Everything static about the windows, one entry per spatial axis.

    `pads` are the places added before and after each axis; `groups` is 1 for a pooling.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def places(self) -> tuple[int, ...]:
        """How many windows fit: ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1 along an axis."""
        return tuple(
            (n + sum(self.pads[i]) - self.dilation[i] * (self.window[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i, n in enumerate(self.size)
        )


def promote_to_float32(x: jax.Array) -> jax.Array:
    """`x` in float32 or wider, in which sums, and those of gradients, are taken."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
