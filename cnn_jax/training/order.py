"""The order of the examples in an epoch: a function of key, epoch and size alone."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array


@partial(jax.jit, static_argnames=("examples", "batch_size"))
def shuffled(
    key: chex.PRNGKey, step: Array, *, examples: int, batch_size: int
) -> tuple[Array, Array]:
    """The row numbers of an epoch in random order, and the step it started with.

    The last batch is padded with the first rows. Padding rows are stored as ~row, which
    is negative, so the mask is part of the index: their loss does not count, but batch
    statistics, which cannot be masked, include them.
    """
    epoch, done = jnp.divmod(step, -(-examples // batch_size))
    key = jax.random.fold_in(jax.random.split(key)[0], epoch)
    order = jax.random.permutation(key, examples).astype(jnp.int32)
    padding = ~jnp.resize(order, (-examples % batch_size,))
    return jnp.concatenate([order, padding]), step - done
