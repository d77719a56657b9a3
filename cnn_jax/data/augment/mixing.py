"""Mixtures of two examples of a batch, and of their losses."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def mixup(
    key: chex.PRNGKey, x: chex.ArrayTree, *, alpha: float = 0.2
) -> tuple[Any, Int[Array, " batch"], Float[Array, ""]]:
    """Mixes each example with another one of the batch.

        s · x[i] + (1 − s) · x[partner[i]],  with s drawn from Beta(α, α)

    The loss is mixed in the same way: s · loss(y) + (1 − s) · loss(y[partner]).

    Args:
        key: The random key.
        x: Floats of any shape (batch, ...), or a tree of such arrays.
        alpha: α; the larger, the more is mixed.

    Returns:
        The mixed examples, the row of the partner of each, and s.

    Example:
        >>> mixed, partner, share = mixup(jax.random.key(0), jnp.eye(3))
        >>> sorted(partner.tolist())
        [0, 1, 2]

    Source:
        Zhang et al., "mixup: Beyond empirical risk minimization", 2017,
        arXiv:1710.09412, equation in section 1.
    """
    keys = jax.random.split(key)
    first = jax.tree.leaves(x)[0]
    share = jax.random.beta(keys[0], alpha, alpha).astype(first.dtype)
    partner = jax.random.permutation(keys[1], len(first))
    mixed = jax.tree.map(lambda a: share * a + (1 - share) * a[partner], x)
    return mixed, partner, share


def cutmix(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    alpha: float = 1.0,
) -> tuple[Array, Int[Array, " batch"], Float[Array, ""]]:
    """Replaces a rectangle of each image by that of another one of the batch.

    The rectangle has the image's ratio and, before it is cut at the edges, the share
    1 − s of its area, with s drawn from Beta(α, α); it is the same for the batch.

    Args:
        key: The random key.
        images: The images.
        alpha: α; by default s is uniform.

    Returns:
        The mixed images, the row of the partner of each, and the share of the area that
        each keeps, by which the losses are mixed as in `mixup`.

    Example:
        >>> images = jnp.eye(3)[:, None, None] * jnp.ones((3, 4, 5, 1))
        >>> mixed, partner, share = cutmix(jax.random.key(0), images)
        >>> bool(0 <= share <= 1)
        True

    Source:
        Yun et al., "CutMix", 2019, arXiv:1905.04899, section 3.1;
        torchvision.transforms.v2.CutMix.
    """
    keys, size = jax.random.split(key, 3), images.shape[1:3]
    side = jnp.sqrt(1 - jax.random.beta(keys[0], alpha, alpha)) / 2
    centre = jax.random.randint(keys[1], (2,), 0, jnp.array(size))
    rows, columns = (
        jnp.abs(jnp.arange(n) - centre[axis] + 0.5) < jnp.floor(side * n)
        for axis, n in enumerate(size)
    )
    partner = jax.random.permutation(keys[2], len(images))
    inside = (rows[:, None] & columns[None])[None, :, :, None]
    mixed = jnp.where(inside, images[partner], images)
    return mixed, partner, 1 - inside.mean(dtype=images.dtype)
