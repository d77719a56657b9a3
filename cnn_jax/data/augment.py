"""Pictures made from pictures, as good to learn from; on the device, from a key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


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
        images: Pictures.
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
        channel = jax.vmap(_between_pixels, in_axes=(-1, None), out_axes=-1)
        return channel(image, at)

    return jax.vmap(warp)(images, angles, scales, shifts)


def _between_pixels(picture: Array, at: Array) -> Array:
    places = [at[0], at[1]]
    return jax.scipy.ndimage.map_coordinates(picture, places, order=1, mode="nearest")
