"""Random changes of where things are in an image."""

from typing import Literal

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import cnn_jax.functional as F


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
    keys = jax.random.split(key, 3)
    angles = _uniform(keys[0], (batch,), rotation)
    scales = 1 + _uniform(keys[1], (batch,), scale)
    shifts = _uniform(keys[2], (batch, 2), shift) * jnp.array([[height, width]])
    return _affine(images, angles, scales, shifts)


def rotate(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    degrees: float = 180.0,
) -> Float[Array, "batch height width channels"]:
    """Rotates each image about its centre by a random angle.

    Interpolation is bilinear; the corners that a rotation brings in are filled with the
    image reflected at its edges.

    Args:
        key: The random key.
        images: The images.
        degrees: The angle is uniform within ± this; by default it is any angle.

    Returns:
        As many images of the same size.

    Example:
        >>> rotate(jax.random.key(0), jnp.ones((2, 5, 7, 3))).round(3).min()
        Array(1., dtype=float32)

    Source:
        torchvision.transforms.v2.RandomRotation, which fills corners with zeros.
    """
    angles = _uniform(key, (len(images),), degrees)
    still = jnp.ones(len(images)), jnp.zeros((len(images), 2))
    return _affine(images, angles, *still, padding_mode="reflection")


def _uniform(key: chex.PRNGKey, shape: tuple[int, ...], limit: float) -> Array:
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def _affine(
    images: Float[Array, "batch height width channels"],
    degrees: Float[Array, " batch"],
    scales: Float[Array, " batch"],
    shifts: Float[Array, "batch 2"],
    *,
    padding_mode: Literal["border", "reflection"] = "border",
) -> Float[Array, "batch height width channels"]:
    """Images read at s·R(a)·(i, j) + t from the centre; shifts t are in pixels."""
    size = images.shape[1:3]
    angles = jnp.deg2rad(degrees)
    cos, sin = scales * jnp.cos(angles), scales * jnp.sin(angles)
    matrices = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    centre = (jnp.array(size) - 1) / 2
    offsets = jnp.moveaxis(jnp.indices(size), 0, -1) - centre.reshape(1, 1, 2)
    moved = jnp.einsum("bij,hwj->bhwi", matrices, offsets)
    positions = moved + (centre.reshape(1, 2) + shifts)[:, None, None]
    return read_at(images, positions, padding_mode=padding_mode)


def resized_crop(
    key: chex.PRNGKey,
    images: Float[Array, "batch height width channels"],
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, "batch height width channels"]:
    """Crops a random part of each image and enlarges it to the whole size, bilinearly.

    The area of the part is uniform, the logarithm of its ratio of width to height too.
    Of ten such parts the first that fits into the image is cropped, at a random
    position; where none fits, the largest part in the middle with an allowed ratio.

    Args:
        key: The random key.
        images: The images.
        scale: The smallest and largest area, as fractions of that of the image.
        ratio: The smallest and largest ratio of width to height.

    Returns:
        As many images of the same size.

    Example:
        >>> images = jnp.arange(24.0).reshape(1, 4, 6, 1)
        >>> resized_crop(jax.random.key(0), images).shape
        (1, 4, 6, 1)

    Source:
        Szegedy et al., "Going deeper with convolutions", 2014, arXiv:1409.4842,
        section 6; torchvision.transforms.v2.RandomResizedCrop.
    """
    size = images.shape[1:3]
    keys = jax.random.split(key)
    sizes = _part_sizes(keys[0], len(images), size, scale, ratio)
    room = jnp.array([size]) - sizes
    drawn = jax.random.randint(keys[1], room.shape, 0, room.astype(jnp.int32) + 1)
    fits = (room > 0).any(axis=1, keepdims=True)
    corners = jnp.where(fits, drawn, jnp.round(room / 2))
    return crop_and_resize(images, corners, sizes)


def _part_sizes(
    key: chex.PRNGKey,
    batch: int,
    size: tuple[int, ...],
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Float[Array, "batch 2"]:
    """The height and width of a random part of each image, in whole pixels."""
    height, width = size
    keys, limits = jax.random.split(key), jnp.log(jnp.array(ratio))
    shape = (batch, 10)
    area = jax.random.uniform(keys[0], shape, minval=scale[0], maxval=scale[1])
    log = jax.random.uniform(keys[1], shape, minval=limits[0], maxval=limits[1])
    ratios = jnp.exp(jnp.stack([-log, log], axis=-1))
    sizes = jnp.round(jnp.sqrt(height * width * area[..., None] * ratios))
    fits = ((sizes >= 1) & (sizes <= jnp.array(size).reshape(1, 1, 2))).all(axis=-1)
    chosen = jnp.take_along_axis(sizes, jnp.argmax(fits, axis=1)[:, None, None], 1)
    largest = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    middle = jnp.array([largest], sizes.dtype)
    return jnp.where(fits.any(axis=1)[:, None], chosen[:, 0], middle)


def crop_and_resize(
    images: Float[Array, "batch height width channels"],
    corners: Float[Array, "batch 2"],
    sizes: Float[Array, "batch 2"],
) -> Float[Array, "batch height width channels"]:
    """A part of each image, enlarged to the whole size as `F.resize` does it.

    Args:
        images: The images.
        corners: The first row and column of each part.
        sizes: The height and width of each part, in pixels.
    """
    rows, columns = (
        _resizing(n, corners[:, axis], sizes[:, axis])
        for axis, n in enumerate(images.shape[1:3])
    )
    return jnp.einsum("bih,bhwc,bjw->bijc", rows, images, columns)


def _resizing(size: int, first: Array, count: Array) -> Float[Array, "batch size size"]:
    """The weights with which `size` pixels are read from a span, bilinearly."""
    first, count = first[:, None], count[:, None]
    at = (jnp.arange(size)[None] + 0.5) * count / size - 0.5
    at = first + jnp.clip(at, 0, count - 1)
    return jnp.maximum(
        0, 1 - jnp.abs(at[..., None] - jnp.arange(size).reshape(1, 1, -1))
    )


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
    return read_at(images, jnp.moveaxis(positions, 0, -1))


def _gaussian(size: int, deviation: float) -> Array:
    """A matrix that smooths noise and keeps its variance, also at the edges."""
    distance = jnp.arange(size)[:, None] - jnp.arange(size)[None]
    weights = jnp.exp(-0.5 * (distance / deviation) ** 2)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def read_at(
    images: Float[Array, "batch height width channels"],
    positions: Float[Array, "batch height width 2"],
    *,
    padding_mode: Literal["border", "reflection", "zeros"] = "border",
) -> Float[Array, "batch height width channels"]:
    """Images read at (row, column) positions, bilinearly.

    Args:
        images: The images.
        positions: Where each pixel of the result is read, in pixels.
        padding_mode: What lies beyond the edges; see `F.grid_sample`.
    """
    last = jnp.maximum(jnp.array(images.shape[1:3]) - 1, 1).reshape(1, 1, 1, 2)
    grid = (2 * positions / last - 1)[..., ::-1]
    return F.grid_sample(images, grid, padding_mode=padding_mode, align_corners=True)
