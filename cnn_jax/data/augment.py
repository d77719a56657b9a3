"""Random augmentation of images and spectrograms, on the device.

Images are floats, `(batch, height, width, channels)`; spectrograms have a row per
frequency band and a column per frame. Each example is changed independently.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import cnn_jax.functional as F

Augment = Callable[[Array, Array], Array]
AugmentName = Literal[
    "crop", "flip", "affine", "elastic", "cutout", "time_mask", "frequency_mask"
]


def random_crop(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    padding: int = 4,
) -> Float[Array, "batch height width channels"]:
    """Pads every side by reflection and crops at a random position.

    Args:
        key: The random key.
        images: The images.
        padding: Pixels on each side, which is the largest shift.

    Returns:
        As many images of the same size.

    Example:
        >>> images = jnp.arange(24.0).reshape(1, 4, 6, 1)
        >>> random_crop(jax.random.key(0), images, padding=1).shape
        (1, 4, 6, 1)

    Source:
        Lee et al., "Deeply-supervised nets", 2014, arXiv:1409.5185, section 3.2, with
        zeros as padding.
    """
    batch, *size = images.shape
    padded = F.pad(images, (padding, padding), mode="reflect")
    corners = jax.random.randint(key, (batch, 2), 0, 2 * padding + 1)

    def cut(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size)

    return jax.vmap(cut)(padded, corners)


def random_flip(
    key: chex.PRNGKey, images: Float[Array, "batch height width channels"]
) -> Float[Array, "batch height width channels"]:
    """Mirrors each image left to right with probability ½.

    Args:
        key: The random key.
        images: The images.

    Returns:
        As many images of the same size.

    Example:
        >>> image = jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1)
        >>> random_flip(jax.random.key(1), image).ravel()
        Array([2., 1.], dtype=float32)

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
        neural networks", 2012, section 4.1.
    """
    chosen = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(chosen, images[:, :, ::-1], images)


def random_affine(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    shift: float = 0.06,
    scale: float = 0.1,
    rotation: float = 10.0,
) -> Float[Array, "batch height width channels"]:
    """Shifts, scales and rotates each image at random.

    The pixel at (i, j) from the centre is read at s·R(a)·(i, j) + t, with bilinear
    interpolation; positions beyond the edge read the edge.

    Args:
        key: The random key.
        images: The images.
        shift: t is uniform within ± this fraction of the height and of the width.
        scale: s is uniform within 1 ± this.
        rotation: a is uniform within ± this many degrees.

    Returns:
        As many images of the same size.

    Example:
        >>> images = jnp.ones((2, 5, 7, 3))
        >>> random_affine(jax.random.key(0), images).round(3).min()
        Array(1., dtype=float32)

    Source:
        LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
        recognition", 1998, section III.A, which distorts digits by affine maps.
    """
    batch, height, width, _ = images.shape
    keys, limit = jax.random.split(key, 3), jnp.deg2rad(rotation)
    angles = jax.random.uniform(keys[0], (batch,), minval=-limit, maxval=limit)
    scales = jax.random.uniform(keys[1], (batch,), minval=1 - scale, maxval=1 + scale)
    shifts = jax.random.uniform(keys[2], (batch, 2), minval=-shift, maxval=shift)
    size = jnp.array([[height, width]])
    centre = (size - 1) / 2
    offsets = jnp.moveaxis(jnp.indices((height, width)), 0, -1) - centre.reshape(
        1, 1, 2
    )
    cos, sin = scales * jnp.cos(angles), scales * jnp.sin(angles)
    matrices = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    moved = jnp.einsum("bij,hwj->bhwi", matrices, offsets)
    return _read_at(images, moved + (centre + shifts * size)[:, None, None])


def random_elastic(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    strength: float = 0.02,
    smoothness: float = 0.1,
) -> Float[Array, "batch height width channels"]:
    """Distorts each image elastically at random.

    Each pixel is read at a displaced position, with bilinear interpolation; positions
    beyond the edge read the edge. Displacements are normal random numbers for each axis
    and pixel, smoothed by a Gaussian.

    Args:
        key: The random key.
        images: The images.
        strength: The standard deviation of displacements, as a fraction of the size.
        smoothness: That of the Gaussian, as a fraction of the size.

    Returns:
        As many images of the same size.

    Example:
        >>> images = jnp.ones((2, 5, 7, 3))
        >>> random_elastic(jax.random.key(0), images).round(3).min()
        Array(1., dtype=float32)

    Source:
        Simard, Steinkraus & Platt, "Best practices for convolutional neural networks
        applied to visual document analysis", 2003, section 2.
    """
    batch, *size, _ = images.shape
    noise = jax.random.normal(key, (2, batch, *size))
    rows, columns = (_gaussian(n, smoothness * n) for n in size)
    lengths = strength * jnp.array(size, images.dtype).reshape(2, 1, 1, 1)
    displacement = lengths * jnp.einsum("ij,abjk,lk->abil", rows, noise, columns)
    positions = jnp.indices(size)[:, None] + displacement
    return _read_at(images, jnp.moveaxis(positions, 0, -1))


def _gaussian(size: int, deviation: float) -> Array:
    """A matrix that smooths noise and keeps its variance, also at the edges."""
    distance = jnp.arange(size)[:, None] - jnp.arange(size)[None]
    weights = jnp.exp(-0.5 * (distance / deviation) ** 2)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def _read_at(
    images: Float[Array, "batch height width channels"],
    positions: Float[Array, "batch height width 2"],
) -> Float[Array, "batch height width channels"]:
    """Images read at (row, column) positions, bilinearly, with the edge beyond it."""
    last = jnp.maximum(jnp.array(images.shape[1:3]) - 1, 1).reshape(1, 1, 1, 2)
    grid = (2 * positions / last - 1)[..., ::-1]
    return F.grid_sample(images, grid, padding_mode="border", align_corners=True)


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


AUGMENTS: dict[str, Augment] = {
    "crop": random_crop,
    "flip": random_flip,
    "affine": random_affine,
    "elastic": random_elastic,
    "cutout": cutout,
    "time_mask": time_mask,
    "frequency_mask": frequency_mask,
}


@lru_cache(maxsize=32)  # Equal names give one object, so that steps compile once.
def augmentation(*names: AugmentName) -> Augment:
    """Named augmentations, applied one after another.

    Args:
        *names: Keys of `AUGMENTS`.

    Returns:
        A function from a key and images to images.

    Example:
        >>> images = jnp.ones((2, 8, 9, 3))
        >>> augmentation("crop", "flip")(jax.random.key(0), images).shape
        (2, 8, 9, 3)
    """

    def augment(key: chex.PRNGKey, x: Array) -> Array:
        for name, own in zip(names, jax.random.split(key, len(names)), strict=True):
            x = AUGMENTS[name](own, x)
        return x

    return augment
