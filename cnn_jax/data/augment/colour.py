"""Random changes of the colours of images, whose values are from −1 to 1."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import cnn_jax.functional as F

Images = Float[Array, "batch height width channels"]


def color_jitter(
    key: chex.PRNGKey,
    images: Images,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> Images:
    """Changes brightness, contrast, saturation and hue of each image at random.

    With an image x from 0 to 1, its grey values g and a factor f of each image's own,

        brightness: f·x
        contrast:   f·x + (1 − f)·mean(g)
        saturation: f·x + (1 − f)·g

    cut to 0 … 1; the hue is turned by a fraction of its circle. The order of the four
    is drawn for the batch. Images without three channels keep saturation and hue.

    Args:
        key: The random key.
        images: The images, from −1 to 1.
        brightness: f is uniform within 1 ± this; 0 leaves it out.
        contrast: The same.
        saturation: The same.
        hue: The turn is uniform within ± this, at most a half.

    Returns:
        As many images of the same size.

    Example:
        >>> color_jitter(jax.random.key(0), -jnp.ones((2, 4, 5, 3)), hue=0.0).max()
        Array(-1., dtype=float32)

    Source:
        torchvision.transforms.v2.ColorJitter.
    """
    keys, batch = jax.random.split(key, 5), len(images)
    changes = [(scale_brightness, brightness), (scale_contrast, contrast)]
    if images.shape[-1] == 3:
        changes.append((scale_saturation, saturation))
    steps = [
        _step(
            change,
            jax.random.uniform(k, (batch,), minval=max(0.0, 1 - a), maxval=1 + a),
        )
        for (change, a), k in zip(changes, keys, strict=False)
    ]
    if images.shape[-1] == 3:
        turns = jax.random.uniform(keys[3], (batch,), minval=-hue, maxval=hue)
        steps.append(_step(turn_hue, turns))
    order = jax.random.permutation(keys[4], len(steps))
    x = (images + 1) / 2
    for i in range(len(steps)):
        x = jax.lax.switch(order[i], steps, x)
    return 2 * x - 1


def _step(change: Callable[[Array, Array], Array], amount: Array) -> Callable:
    return lambda x: change(x, amount.reshape(-1, 1, 1, 1))


def scale_brightness(x: Array, factor: Array) -> Array:
    """f·x, cut to 0 … 1."""
    return jnp.clip(factor * x, 0, 1)


def scale_contrast(x: Array, factor: Array) -> Array:
    """Away from, or towards, the mean grey value of each image."""
    mean = _grey(x).mean(axis=(1, 2, 3), keepdims=True)
    return jnp.clip(factor * x + (1 - factor) * mean, 0, 1)


def scale_saturation(x: Array, factor: Array) -> Array:
    """Away from, or towards, the grey value of each pixel."""
    return jnp.clip(factor * x + (1 - factor) * _grey(x), 0, 1)


def turn_hue(x: Array, turn: Array) -> Array:
    """Turns the hue by a fraction of its circle."""
    hue, saturation, value = jnp.split(F.rgb_to_hsv(x), 3, axis=-1)
    return F.hsv_to_rgb(jnp.concatenate([(hue + turn) % 1, saturation, value], -1))


def _grey(x: Array) -> Array:
    """The luma of ITU-R BT.601, whose coefficients torchvision uses."""
    luma = jnp.array([0.2989, 0.587, 0.114], x.dtype)
    return (x @ luma)[..., None] if x.shape[-1] == 3 else x


def grayscale(key: chex.PRNGKey, images: Images, *, probability: float = 0.1) -> Images:
    """Makes an image grey with some probability; it keeps its number of channels.

    Args:
        key: The random key.
        images: The images; those without three channels are returned as they are.
        probability: Of each image.

    Returns:
        As many images of the same size.

    Example:
        >>> red = jnp.array([1.0, -1.0, -1.0]).reshape(1, 1, 1, 3)
        >>> grayscale(jax.random.key(0), red, probability=1.0).ravel()
        Array([-0.40..., -0.40..., -0.40...], dtype=float32)

    Source:
        torchvision.transforms.v2.RandomGrayscale.
    """
    if images.shape[-1] != 3:
        return images
    chosen = jax.random.bernoulli(key, probability, (len(images), 1, 1, 1))
    return jnp.where(chosen, _grey(images), images)


def invert(key: chex.PRNGKey, images: Images, *, probability: float = 0.5) -> Images:
    """Turns an image into its negative with some probability.

    Args:
        key: The random key.
        images: The images, from −1 to 1.
        probability: Of each image.

    Returns:
        As many images of the same size.

    Example:
        >>> invert(jax.random.key(0), jnp.ones((1, 2, 2, 1)), probability=1.0).max()
        Array(-1., dtype=float32)

    Source:
        torchvision.transforms.v2.RandomInvert.
    """
    chosen = jax.random.bernoulli(key, probability, (len(images), 1, 1, 1))
    return jnp.where(chosen, -images, images)


def permute_channels(key: chex.PRNGKey, images: Images) -> Images:
    """Puts the channels of each image into a random order.

    Args:
        key: The random key.
        images: The images.

    Returns:
        As many images of the same size.

    Example:
        >>> image = jnp.arange(3.0).reshape(1, 1, 1, 3)
        >>> sorted(permute_channels(jax.random.key(0), image).ravel().tolist())
        [0.0, 1.0, 2.0]

    Source:
        torchvision.transforms.v2.RandomChannelPermutation.
    """
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda k, x: jax.random.permutation(k, x, axis=-1))(keys, images)
