"""TrivialAugment: one random change of each image, with a random strength."""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.data.augment.colour import (
    scale_brightness,
    scale_contrast,
    scale_saturation,
)
from cnn_jax.data.augment.geometry import read_at

BINS = 31  # Strengths of each change, evenly spaced from none to the largest.
Images = Float[Array, "batch height width channels"]


def trivial_augment(key: chex.PRNGKey, images: Images) -> Images:
    """Changes each image in one of fourteen ways, with a random strength.

    The ways are those of the wide space: nothing, shear and shift along both axes,
    rotation, brightness, saturation, contrast, sharpness, fewer bits, inversion of
    bright pixels, the widest contrast, and an even histogram. What lies beyond the
    edges is black.

    Args:
        key: The random key.
        images: The images, from −1 to 1, with one or three channels.

    Returns:
        As many images of the same size.

    Example:
        >>> jax.jit(trivial_augment)(jax.random.key(0), jnp.zeros((2, 8, 9, 3))).shape
        (2, 8, 9, 3)

    Source:
        Müller & Hutter, "TrivialAugment", 2021, arXiv:2103.10158, table 1 and figure 2;
        torchvision.transforms.v2.TrivialAugmentWide.
    """
    keys, batch = jax.random.split(key, 3), len(images)
    way = jax.random.randint(keys[0], (batch,), 0, 1 + len(MOVES) + len(CHANGES))
    bins = jax.random.randint(keys[1], (batch,), 0, BINS)
    sign = jax.random.rademacher(keys[2], (batch,)).astype(images.dtype)
    return apply(images, way, bins, sign)


def apply(images: Images, way: Array, bins: Array, sign: Array) -> Images:
    """One change of each image.

    Args:
        images: The images, from −1 to 1.
        way: Of each image: 0 for nothing, then `MOVES` and `CHANGES` in their order.
        bins: The strength of each, from 0 to 30.
        sign: The direction of each, −1 or 1.
    """
    strength = bins / (BINS - 1)
    x = _moved((images + 1) / 2, way, sign * strength)
    out = x
    for i, change in enumerate(CHANGES, 1 + len(MOVES)):
        changed = change(x, *(a.reshape(-1, 1, 1, 1) for a in (strength, sign)))
        out = jnp.where((way == i).reshape(-1, 1, 1, 1), changed, out)
    return 2 * out - 1


def _moved(x: Array, way: Array, amount: Array) -> Array:
    """Shears from a corner, shifts, and rotation about the centre."""
    parts = [jnp.where(way == i, amount * most, 0) for i, most in enumerate(MOVES, 1)]
    *shears, shift_x, shift_y, turn = (part[:, None, None] for part in parts)
    rows, columns = (n[None] for n in jnp.indices(x.shape[1:3]).astype(x.dtype))
    middle_row, middle_column = ((n - 1) / 2 for n in x.shape[1:3])
    down, right = rows - middle_row, columns - middle_column
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    at_row = middle_row + cos * down + sin * right + shears[1] * (columns + 0.5)
    at_column = middle_column + cos * right - sin * down + shears[0] * (rows + 0.5)
    at = at_row - jnp.trunc(shift_y), at_column - jnp.trunc(shift_x)
    return read_at(x, jnp.stack(at, axis=-1), padding_mode="zeros")


def _scaled(scale: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda x, strength, sign: scale(x, 1 + 0.99 * sign * strength)


def _sharpness(x: Array, strength: Array, sign: Array) -> Array:
    """Away from, or towards, a smoothed image; the pixels at the edges stay."""
    kernel = jnp.ones((3, 3, 1, 1)).at[1, 1].set(5) / 13
    kernel = jnp.tile(kernel, (1, 1, 1, x.shape[-1]))
    smooth = F.conv(x, kernel, groups=x.shape[-1])
    smooth = x.at[:, 1:-1, 1:-1].set(smooth)
    factor = 1 + 0.99 * sign * strength
    return jnp.clip(factor * x + (1 - factor) * smooth, 0, 1)


def _posterized(x: Array, strength: Array, sign: Array) -> Array:
    """The first 8 to 2 of the 8 bits of each value."""
    step = 2 ** jnp.round(6 * strength)
    return jnp.floor(jnp.round(255 * x) / step) * step / 255


def _solarized(x: Array, strength: Array, sign: Array) -> Array:
    """Values from a threshold on become their negative."""
    return jnp.where(x >= 1 - strength, 1 - x, x)


def _widest_contrast(x: Array, strength: Array, sign: Array) -> Array:
    """Each channel from its darkest value, as 0, to its brightest, as 1."""
    low, high = (f(x, axis=(1, 2), keepdims=True) for f in (jnp.min, jnp.max))
    flat = high <= low
    return jnp.where(flat, x, (x - low) / jnp.where(flat, 1, high - low))


def _even_histogram(x: Array, strength: Array, sign: Array) -> Array:
    """Values mapped so that all are about equally frequent, in each channel."""
    grey = jnp.round(255 * x).astype(jnp.int32)
    flat = jnp.moveaxis(grey, -1, 1).reshape(-1, grey.shape[1] * grey.shape[2])
    even = jax.vmap(_equalized)(flat).reshape(len(x), x.shape[-1], *x.shape[1:3])
    return jnp.moveaxis(even, 1, -1) / 255


def _equalized(grey: Array) -> Array:
    """A channel of whole numbers from 0 to 255, as `PIL.ImageOps.equalize` maps it."""
    counts = jnp.zeros(256, jnp.int32).at[grey].add(1)
    last = counts[grey.max()]
    step = (grey.size - last) // 255
    table = (jnp.cumsum(counts) - counts + step // 2) // jnp.maximum(step, 1)
    return jnp.where(step == 0, grey, jnp.clip(table, 0, 255)[grey])


MOVES = (0.99, 0.99, 32.0, 32.0, math.radians(135))  # Shears, shifts, rotation.
CHANGES: tuple[Callable[..., Array], ...] = (
    _scaled(scale_brightness),
    _scaled(scale_saturation),
    _scaled(scale_contrast),
    _sharpness,
    _posterized,
    _solarized,
    _widest_contrast,
    _even_histogram,
)
