"""Parts of pictures: backgrounds, outlines, and textured things on them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SCALE = 4  # Pictures are drawn this much larger, and then reduced.


def background(rng: np.random.Generator, size: int) -> Image.Image:
    """Smooth colours."""
    shape = (*rng.integers(3, 7, 2), 3)
    small = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
    large = small.resize((size, size), Image.Resampling.BICUBIC)
    return large.filter(ImageFilter.GaussianBlur(size / 40))


def outline(kind: str) -> np.ndarray:
    """The points of a disc, a leaf or a star, within the unit circle."""
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    if kind == "leaf":
        y = 0.45 * np.sin(t) * (1 - 0.3 * np.cos(t)) * np.abs(np.sin(t)) ** 0.3
        return np.stack([np.cos(t), y], axis=1)
    radius = 0.7 + 0.3 * np.cos(5 * t) if kind == "star" else 1
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def placed(
    points: np.ndarray, radius: float, centre: np.ndarray, angle: float = 0.0
) -> list[tuple[float, float]]:
    """Points that are turned, enlarged and moved."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [tuple(point) for point in points @ turn.T * radius + centre]


def mask(size: int, *polygons: list[tuple[float, float]]) -> Image.Image:
    """White inside the first polygon, and black again inside of those after it."""
    found = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(found)
    for i, polygon in enumerate(polygons):
        draw.polygon(polygon, fill=0 if i else 255)
    return found.filter(ImageFilter.GaussianBlur(1))


def grain(rng: np.random.Generator, size: int, colour: np.ndarray) -> Image.Image:
    """A colour with a random texture."""
    cells = size // int(rng.integers(2, 9)) + 1
    small = np.clip(128 + 50 * rng.normal(size=(cells, cells)), 0, 255).astype(np.uint8)
    large = Image.fromarray(small).resize((size, size), Image.Resampling.BILINEAR)
    texture = (np.asarray(large, float) - 128)[..., None] * rng.uniform(0.3, 0.9)
    return Image.fromarray(np.clip(colour + texture, 0, 255).astype(np.uint8))


def reduced(image: Image.Image) -> np.ndarray:
    """The finished picture, as bytes."""
    size = image.size[0] // SCALE
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))
