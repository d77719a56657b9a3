"""All augmentations by name."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import chex
import jax
from jaxtyping import Array

from cnn_jax.data.augment.colour import (
    color_jitter,
    grayscale,
    invert,
    permute_channels,
)
from cnn_jax.data.augment.geometry import (
    random_affine,
    random_crop,
    random_elastic,
    random_flip,
    resized_crop,
    rotate,
)
from cnn_jax.data.augment.masks import cutout, frequency_mask, time_mask
from cnn_jax.data.augment.trivial import trivial_augment

Augment = Callable[[Array, Array], Array]
AugmentName = Literal[
    "crop",
    "flip",
    "affine",
    "elastic",
    "rotate",
    "resized_crop",
    "color_jitter",
    "grayscale",
    "invert",
    "permute_channels",
    "trivial_augment",
    "cutout",
    "time_mask",
    "frequency_mask",
]

AUGMENTS: dict[str, Augment] = {
    "crop": random_crop,
    "flip": random_flip,
    "affine": random_affine,
    "elastic": random_elastic,
    "rotate": rotate,
    "resized_crop": resized_crop,
    "color_jitter": color_jitter,
    "grayscale": grayscale,
    "invert": invert,
    "permute_channels": permute_channels,
    "trivial_augment": trivial_augment,
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
        >>> images = jax.numpy.ones((2, 8, 9, 3))
        >>> augmentation("crop", "flip")(jax.random.key(0), images).shape
        (2, 8, 9, 3)
    """

    def augment(key: chex.PRNGKey, x: Array) -> Array:
        for name, own in zip(names, jax.random.split(key, len(names)), strict=True):
            x = AUGMENTS[name](own, x)
        return x

    return augment
