"""Images of X and O, as different from each other as a strength between 0 and 1 says.

A pixel is −1 where there is no ink and 1 where there is, before noise. Sizes are in
pixels.
"""

from collections.abc import Collection

import numpy as np

KINDS = ("shift", "scale", "rotation", "thickness", "elastic", "noise")
CLASSES = ("X", "O")


def draw(
    rng: np.random.Generator,
    count: int,
    *,
    size: int = 28,
    strength: float = 0.5,
    kinds: Collection[str] = KINDS,
) -> dict[str, np.ndarray]:
    """Draws X's and O's by turns, each deformed in its own way.

    On a side of n pixels, strength d makes

        shift      uniform within ±0.2·d·n per axis
        scale      uniform in [1 − 0.4·d, 1 + 0.1·d]
        rotation   uniform within ±30°·d
        thickness  uniform in [0.04·n, (0.04 + 0.10·d)·n]
        elastic    a displacement of standard deviation 0.04·d·n, smoothed by a Gaussian
                   of 0.1·n
        noise      normal, of standard deviation 0.3·d, added to every pixel

    Args:
        rng: The random generator.
        count: How many pictures.
        size: Their height and width, n.
        strength: How far they are deformed, d.
        kinds: Which deformations take part; the others stay at strength 0.

    Returns:
        `image`, float32 of shape (count, size, size, 1), and `label`, 0 for X and 1 for
        O.

    Raises:
        ValueError: If `strength` is not within 0 … 1, `size` or `count` is not
            positive, or a kind is unknown.

    Example:
        >>> pair = draw(np.random.default_rng(0), 2, size=5, strength=0.0)
        >>> pair["image"][0, ..., 0].round(1)
        array([[-0.7, -1. , -1. , -1. , -0.7],
               [-1. ,  0.2, -1. ,  0.2, -1. ],
               [-1. , -1. ,  0.2, -1. , -1. ],
               [-1. ,  0.2, -1. ,  0.2, -1. ],
               [-0.7, -1. , -1. , -1. , -0.7]], dtype=float32)
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"`kinds` has {unknown}, but there are only {list(KINDS)}.")
    if not 0 <= strength <= 1:
        raise ValueError(f"`strength` is {strength}, but must be between 0 and 1.")
    if size < 1 or count < 1:
        raise ValueError(
            f"`size` is {size} and `count` {count}, but both must be positive."
        )
    d = {kind: strength * (kind in kinds) for kind in KINDS}
    label = np.arange(count) % len(CLASSES)
    across, down = _template_coordinates(rng, count, size, d)
    distance = _distance_to_stroke(across, down, label, arm=size / 3)
    thickness = _uniform(rng, 0.04, 0.04 + 0.10 * d["thickness"], (count, 1, 1)) * size
    # The stroke's edge is one pixel soft, so that no shift is lost to rounding.
    image = 2 * np.clip(thickness / 2 + 0.5 - distance, 0, 1) - 1
    if d["noise"]:
        image += np.float32(0.3 * d["noise"]) * _normal(rng, image.shape)
    return {"image": image[..., None], "label": label}


def _template_coordinates(
    rng: np.random.Generator, count: int, size: int, d: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Where on the undeformed letter each pixel looks, from its centre, in pixels."""
    furthest, turn = 0.2 * d["shift"] * size, np.deg2rad(30) * d["rotation"]
    shift = _uniform(rng, -furthest, furthest, (2, count, 1, 1))
    scale = _uniform(rng, 1 - 0.4 * d["scale"], 1 + 0.1 * d["scale"], (count, 1, 1))
    angle = _uniform(rng, -turn, turn, (count, 1, 1))
    positions = np.arange(size, dtype=np.float32) - (size - 1) / 2
    across, down = (
        positions[None, None, :] - shift[0],
        positions[None, :, None] - shift[1],
    )
    if d["elastic"]:
        bend = np.float32(0.04 * d["elastic"] * size) * _smooth_noise(rng, count, size)
        across, down = across + bend[0], down + bend[1]
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    return cos * across + sin * down, cos * down - sin * across


def _smooth_noise(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Two fields of standard deviation 1 at every pixel, smooth over 0.1 · size."""
    positions = np.arange(size, dtype=np.float32)
    gaussian = np.exp(-0.5 * ((positions[:, None] - positions) / (0.1 * size)) ** 2)
    gaussian /= np.linalg.norm(gaussian, axis=1, keepdims=True)
    return gaussian @ _normal(rng, (2, count, size, size)) @ gaussian.T


# Float32 throughout: half the time, and finer than a pixel by far.


def _uniform(
    rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]
) -> np.ndarray:
    return rng.uniform(low, high, shape).astype(np.float32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _distance_to_stroke(
    across: np.ndarray, down: np.ndarray, label: np.ndarray, arm: float
) -> np.ndarray:
    """How far each position of the template is from the middle of its letter's stroke.

    The X is two diagonals between (±arm, ±arm), the O a circle of radius `arm`.
    """
    root = np.float32(np.sqrt(2))
    falling, rising = (across + down) / root, (across - down) / root
    beyond_falling = np.maximum(np.abs(falling) - arm * root, 0)
    beyond_rising = np.maximum(np.abs(rising) - arm * root, 0)
    x = np.minimum(rising**2 + beyond_falling**2, falling**2 + beyond_rising**2)
    o = np.abs(np.sqrt(across**2 + down**2) - arm)
    return np.where(label[:, None, None] == 0, np.sqrt(x), o)
