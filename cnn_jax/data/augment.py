"""Images made from pictures, as good to learn from; on the device, from a key.

Images are floats, `(batch, height, width, channels)`, and those of sounds have a row
per frequency band and a column per time chunk. Each has a chance of its own.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import cnn_jax.functional as F

Augment = Callable[[Array, Array], Array]
AugmentName = Literal[
    "crop", "flip", "affine", "elastic", "cutout", "time_mask", "frequency_mask"
]


def random_crop(
    key: Key[Array, ""],
    images: Float[Array, "batch height width channels"],
    *,
    padding: int = 4,
) -> Float[Array, "batch height width channels"]:
    """Pads every side by reflection and cuts a window of the old size out by chance.

    Args:
        key: Where the chance comes from.
        images: Images.
        padding: Pixels on each side, and so the longest shift.

    Returns:
        As many pictures of the same size.

    Example:
        >>> images = jnp.arange(24.0).reshape(1, 4, 6, 1)
        >>> random_crop(jax.random.key(0), images, padding=1).shape
        (1, 4, 6, 1)

    Source:
        Lee et al., "Deeply-supervised nets", 2014, arXiv:1409.5185, section 3.2, whose
        pads are zeros.
    """
    batch, *size = images.shape
    padded = F.pad(images, (padding, padding), mode="reflect")
    corners = jax.random.randint(key, (batch, 2), 0, 2 * padding + 1)

    def cut(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size)

    return jax.vmap(cut)(padded, corners)


def random_flip(
    key: Key[Array, ""], images: Float[Array, "batch height width channels"]
) -> Float[Array, "batch height width channels"]:
    """Swaps left and right in every other picture, by chance.

    Args:
        key: Where the chance comes from.
        images: Images.

    Returns:
        As many pictures of the same size.

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
    key: Key[Array, ""],
    images: Float[Array, "batch height width channels"],
    *,
    shift: float = 0.06,
    scale: float = 0.1,
    rotation: float = 10.0,
) -> Float[Array, "batch height width channels"]:
    """Shifts, scales and turns every picture by chance, each in its own way.

    A pixel at (i, j) from the centre shows what stood at s·R(a)·(i, j) + t, between
    four pixels by bilinear interpolation, and beyond the edge the edge itself.

    Args:
        key: Where the chance comes from.
        images: Images.
        shift: t is uniform within ± this share of the height and of the width.
        scale: s is uniform within 1 ± this.
        rotation: a is uniform within ± this many degrees.

    Returns:
        As many pictures of the same size.

    Example:
        >>> images = jnp.ones((2, 5, 7, 3))
        >>> random_affine(jax.random.key(0), images).round(3).min()
        Array(1., dtype=float32)

    Source:
        LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
        recognition", 1998, section III.A, which distorts digits by affine maps.
    """
    batch, height, width, _ = images.shape
    keys = jax.random.split(key, 3)
    turn = jnp.deg2rad(rotation)
    angles = jax.random.uniform(keys[0], (batch,), minval=-turn, maxval=turn)
    scales = jax.random.uniform(keys[1], (batch,), minval=1 - scale, maxval=1 + scale)
    shifts = jax.random.uniform(keys[2], (batch, 2), minval=-shift, maxval=shift)
    centre = jnp.array([height - 1.0, width - 1.0]) / 2
    places = jnp.indices((height, width)).reshape(2, -1) - centre[:, None]

    def warp(image: Array, angle: Array, scale: Array, shift: Array) -> Array:
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        turned = scale * jnp.array([[cos, -sin], [sin, cos]]) @ places
        at = turned + (centre + shift * jnp.array([height, width]))[:, None]
        at = at.reshape(2, height, width)
        return _between_pixels(image, at)

    return jax.vmap(warp)(images, angles, scales, shifts)


def random_elastic(
    key: Key[Array, ""],
    images: Float[Array, "batch height width channels"],
    *,
    strength: float = 0.02,
    smoothness: float = 0.1,
) -> Float[Array, "batch height width channels"]:
    """Bends every picture as if it were printed on rubber.

    Each pixel shows what stood a little away from it, between four pixels by bilinear
    interpolation, and beyond the edge the edge itself. How far is drawn from a normal
    distribution for each axis and pixel, and smoothed by a Gaussian.

    Args:
        key: Where the chance comes from.
        images: Images.
        strength: The standard deviation of a displacement, as a share of the size.
        smoothness: That of the Gaussian, as a share of the size.

    Returns:
        As many pictures of the same size.

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
    away = lengths * jnp.einsum("ij,abjk,lk->abil", rows, noise, columns)
    places = jnp.indices(size)[:, None] + away
    return jax.vmap(_between_pixels, in_axes=(0, 1))(images, places)


def _gaussian(places: int, deviation: float) -> Array:
    """A matrix that smooths noise and keeps its variance, at the edges too."""
    apart = jnp.arange(places)[:, None] - jnp.arange(places)[None]
    weights = jnp.exp(-0.5 * (apart / deviation) ** 2)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def _between_pixels(
    image: Float[Array, "height width channels"], at: Float[Array, "2 height width"]
) -> Float[Array, "height width channels"]:
    def one(channel: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(
            channel, [at[0], at[1]], order=1, mode="nearest"
        )

    return jax.vmap(one, in_axes=-1, out_axes=-1)(image)


def cutout(
    key: Key[Array, ""],
    images: Float[Array, "batch height width channels"],
    *,
    size: float = 0.5,
) -> Float[Array, "batch height width channels"]:
    """Puts a square of zeros somewhere on every picture; part of it may hang over.

    Args:
        key: Where the chance comes from.
        images: Images.
        size: The side of the square, as a share of the picture's shorter side.

    Returns:
        As many pictures of the same size.

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
        _within(places, first[:, axis], jnp.full(batch, side))
        for axis, places in enumerate((height, width))
    )
    covered = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(covered, 0.0, images)


def time_mask(
    key: Key[Array, ""],
    spectrograms: Float[Array, "batch bands time channels"],
    *,
    max_fraction: float = 0.2,
) -> Float[Array, "batch bands time channels"]:
    """Covers a stretch of time with the mean of the spectrogram.

    Args:
        key: Where the chance comes from.
        spectrograms: Sound as pictures.
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
    key: Key[Array, ""],
    spectrograms: Float[Array, "batch bands time channels"],
    *,
    max_fraction: float = 0.2,
) -> Float[Array, "batch bands time channels"]:
    """Covers some neighbouring bands with the mean of the spectrogram.

    Args:
        key: Where the chance comes from.
        spectrograms: Sound as pictures.
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


def _mask(key: Array, x: Array, axis: int, max_fraction: float) -> Array:
    places, batch = x.shape[axis], len(x)
    keys = jax.random.split(key)
    lengths = jax.random.randint(keys[0], (batch,), 0, round(max_fraction * places) + 1)
    first = jax.random.randint(keys[1], (batch,), 0, places - lengths + 1)
    shape = [batch, 1, 1, 1]
    shape[axis] = places
    covered = _within(places, first, lengths).reshape(shape)
    return jnp.where(covered, x.mean(axis=(1, 2, 3), keepdims=True), x)


def _within(places: int, first: Array, lengths: Array) -> Array:
    """Which of so many places are among `lengths` from `first`, for each of a batch."""
    at = jnp.arange(places)[None] - first[:, None]
    return (at >= 0) & (at < lengths[:, None])


def mixup(
    key: Key[Array, ""], x: Float[Array, "batch ..."], *, alpha: float = 0.2
) -> tuple[Float[Array, "batch ..."], Int[Array, " batch"], Float[Array, ""]]:
    """Lays another example of the batch over every example.

        s · x[i] + (1 − s) · x[partner[i]],  with s drawn from Beta(α, α)

    A loss is mixed alike: s · loss(y) + (1 − s) · loss(y[partner]).

    Args:
        key: Where the chance comes from.
        x: Examples of any kind.
        alpha: α: near 0 hardly anything is mixed, and from 1 on much.

    Returns:
        The mixed examples, the row of each one's partner, and s.

    Example:
        >>> mixed, partner, share = mixup(jax.random.key(0), jnp.eye(3))
        >>> sorted(partner.tolist())
        [0, 1, 2]

    Source:
        Zhang et al., "mixup: Beyond empirical risk minimization", 2017,
        arXiv:1710.09412, equation in section 1.
    """
    keys = jax.random.split(key)
    share = jax.random.beta(keys[0], alpha, alpha).astype(x.dtype)
    partner = jax.random.permutation(keys[1], len(x))
    return share * x + (1 - share) * x[partner], partner, share


AUGMENTS: dict[str, Augment] = {
    "crop": random_crop,
    "flip": random_flip,
    "affine": random_affine,
    "elastic": random_elastic,
    "cutout": cutout,
    "time_mask": time_mask,
    "frequency_mask": frequency_mask,
}


@lru_cache(maxsize=32)  # The same names give the same object, so steps compile once.
def augmentation(*names: AugmentName) -> Augment:
    """The augmentations of these names, one after the other.

    Args:
        *names: Keys of `AUGMENTS`.

    Returns:
        From a key and pictures to pictures.

    Example:
        >>> images = jnp.ones((2, 8, 9, 3))
        >>> augmentation("crop", "flip")(jax.random.key(0), images).shape
        (2, 8, 9, 3)
    """

    def augment(key: Array, x: Array) -> Array:
        for name, own in zip(names, jax.random.split(key, len(names)), strict=True):
            x = AUGMENTS[name](own, x)
        return x

    return augment
