"""Static geometry of the windows of a convolution or pooling, and dtype of sums."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Geometry(NamedTuple):
    """Static geometry of the windows, one entry per spatial axis.

    `pads` are the padding elements before and after each axis; `groups` is 1 for a
    pooling.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def out_size(self) -> tuple[int, ...]:
        """Spatial size of the output: ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1 per axis."""
        return tuple(
            (n + sum(self.pads[i]) - self.dilation[i] * (self.window[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i, n in enumerate(self.size)
        )


def promote_to_float32(x: jax.Array) -> jax.Array:
    """`x` in float32, or unchanged if wider; sums and their gradients use this."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
