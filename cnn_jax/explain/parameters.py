"""From parameters to an image: Fourier coefficients or phases, and colours."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# Lucid's square root of the covariance of the colours of ImageNet.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
LARGEST = np.linalg.norm(COLOURS, axis=0).max()
START = 0.01  # Standard deviation of the first coefficients.


def frequencies(size: Sequence[int]) -> np.ndarray:
    """The length of the frequency of every coefficient of `rfftn`, per position.

    Args:
        size: The spatial size.

    Example:
        >>> frequencies((4,))
        array([0.  , 0.25, 0.5 ])
    """
    parts = [np.fft.fftfreq(n) for n in size[:-1]] + [np.fft.rfftfreq(size[-1])]
    return np.sqrt(sum(part**2 for part in np.meshgrid(*parts, indexing="ij")))


def spectrum_of(size: Sequence[int], decay: float) -> np.ndarray:
    """Magnitudes that fall with the frequency f as 1 / f^decay, as of photographs.

    Args:
        size: The spatial size.
        decay: 1 for photographs; 0 for white noise.
    """
    lowest = 1 / max(size)
    return math.sqrt(math.prod(size)) / np.maximum(frequencies(size), lowest) ** decay


def draw_coefficients(
    key: Array, count: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, Array]:
    """Small real and imaginary parts of the coefficients of some images.

    Args:
        key: Of the random numbers.
        count: The batch axes.
        shape: Of one image, with channels.
    """
    real, imaginary = jax.random.split(key)
    coefficients = (*count, *frequencies(shape[:-1]).shape, shape[-1])
    return {
        "real": START * jax.random.normal(real, coefficients),
        "imaginary": START * jax.random.normal(imaginary, coefficients),
    }


def from_coefficients(parameters: Any, shape: tuple[int, ...], decay: float) -> Array:
    """Images of mean 0 from scaled Fourier coefficients.

    Args:
        parameters: Of `draw_coefficients`.
        shape: Of one image, with channels.
        decay: As of `spectrum_of`.
    """
    scale = jnp.asarray(spectrum_of(shape[:-1], decay), jnp.float32)[..., None]
    parts = parameters["real"] + 1j * parameters["imaginary"]
    axes = tuple(range(-len(shape), -1))
    spread = jnp.broadcast_to(scale, parts.shape)
    return jnp.fft.irfftn(spread * parts, s=shape[:-1], axes=axes) / 4


def draw_phases(
    key: Array, count: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, Array]:
    """Normal numbers as the phases of some images; arguments as `draw_coefficients`."""
    coefficients = (*count, *frequencies(shape[:-1]).shape, shape[-1])
    return {"phase": jax.random.normal(key, coefficients)}


def from_phases(parameters: Any, shape: tuple[int, ...], magnitude: Array) -> Array:
    """Images of mean 0 and deviation 1 from phases, with given magnitudes.

    Args:
        parameters: Of `draw_phases`.
        shape: Of one image, with channels.
        magnitude: Of every coefficient, with channels.
    """
    phase = parameters["phase"]
    spread = jnp.broadcast_to(magnitude, phase.shape)
    axes = tuple(range(-len(shape), -1))
    found = jnp.fft.irfftn(spread * jnp.exp(1j * phase), s=shape[:-1], axes=axes)
    every = (*axes, -1)
    found -= found.mean(axis=every, keepdims=True)
    return found / (found.std(axis=every, keepdims=True) + 1e-5)


def in_range(x: Array, low: float, high: float) -> Array:
    """Correlates the colours of RGB images, and bounds all values by a sigmoid.

    Args:
        x: Images whose channels are independent.
        low: The smallest value.
        high: The largest value.
    """
    if x.shape[-1] == 3:
        x = x @ jnp.asarray(COLOURS.T / LARGEST, x.dtype)
    return low + (high - low) * jax.nn.sigmoid(x)
