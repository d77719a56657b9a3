"""Random parts of an image or a spectrogram that are hidden."""

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cutout(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    size: float = 0.5,
) -> Float[Array, "batch height width channels"]:
    """Sets a random square of each image to zero; part of it may lie outside.

    Args:
        key: The random key.
        images: The images.
        size: The side of the square, as a fraction of the image's shorter side.

    Returns:
        As many images of the same size.

    Example:
        >>> cutout(jax.random.key(0), jnp.ones((3, 8, 9, 1)), size=0.25).min()
        Array(0., dtype=float32)

    Source:
        DeVries & Taylor, "Improved regularization of convolutional neural networks with
        cutout", 2017, arXiv:1708.04552, section 3.
    """
    batch, height, width, _ = images.shape
    side = round(size * min(height, width))
    sizes = jnp.broadcast_to(jnp.array([height, width]), (batch, 2))
    first = jax.random.randint(key, (batch, 2), 0, sizes) - side // 2
    rows, columns = (
        _within(length, first[:, axis], jnp.full(batch, side))
        for axis, length in enumerate((height, width))
    )
    covered = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(covered, 0.0, images)


def time_mask(
    key: chex.PRNGKey,
    spectrograms: Float[Array, "batch bands time channels"],
    *,
    max_fraction: float = 0.2,
) -> Float[Array, "batch bands time channels"]:
    """Replaces a random span of time by the mean of the spectrogram.

    Args:
        key: The random key.
        spectrograms: The spectrograms.
        max_fraction: The longest masked span, as a fraction of all frames.

    Returns:
        As many spectrograms of the same size.

    Example:
        >>> time_mask(jax.random.key(0), jnp.ones((2, 5, 9, 1))).shape
        (2, 5, 9, 1)

    Source:
        Park et al., "SpecAugment", 2019, arXiv:1904.08779, section 2.
    """
    return _mask(key, spectrograms, 2, max_fraction)


def frequency_mask(
    key: chex.PRNGKey,
    spectrograms: Float[Array, "batch bands time channels"],
    *,
    max_fraction: float = 0.2,
) -> Float[Array, "batch bands time channels"]:
    """Replaces a random span of bands by the mean of the spectrogram.

    Args:
        key: The random key.
        spectrograms: The spectrograms.
        max_fraction: The largest number of masked bands, as a fraction of all bands.

    Returns:
        As many spectrograms of the same size.

    Example:
        >>> frequency_mask(jax.random.key(0), jnp.ones((2, 5, 9, 1))).shape
        (2, 5, 9, 1)

    Source:
        Park et al., "SpecAugment", 2019, arXiv:1904.08779, section 2.
    """
    return _mask(key, spectrograms, 1, max_fraction)


def _mask(key: chex.PRNGKey, x: Array, axis: int, max_fraction: float) -> Array:
    size, batch = x.shape[axis], len(x)
    keys = jax.random.split(key)
    lengths = jax.random.randint(keys[0], (batch,), 0, round(max_fraction * size) + 1)
    first = jax.random.randint(keys[1], (batch,), 0, size - lengths + 1)
    shape = [batch, 1, 1, 1]
    shape[axis] = size
    covered = _within(size, first, lengths).reshape(shape)
    return jnp.where(covered, x.mean(axis=(1, 2, 3), keepdims=True), x)


def _within(size: int, first: Array, lengths: Array) -> Array:
    """Which of `size` positions are in the span of `lengths` from `first`, per row."""
    at = jnp.arange(size)[None] - first[:, None]
    return (at >= 0) & (at < lengths[:, None])
