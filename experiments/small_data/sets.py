"""Eight small labelled sets of different kinds, each drawn from a seed."""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from cnn_jax import data
from cnn_jax.data.dataset import Origin
from cnn_jax.data.readers import AudioReader
from cnn_jax.data.splits import with_validation
from experiments.small_data.drawing import (
    SCALE,
    background,
    grain,
    mask,
    outline,
    placed,
    reduced,
)

SIZE = 64
RATE, SAMPLES = 8000, 6000
Rng = np.random.Generator


def shape(rng: Rng, label: int) -> np.ndarray:
    """A ring, a leaf or a star of any size, colour and direction, anywhere."""
    size, kind = SIZE * SCALE, ("ring", "leaf", "star")[label]
    radius = rng.uniform(0.18, 0.42) * size
    centre, angle = rng.uniform(radius, size - radius, 2), rng.uniform(0, 2 * np.pi)
    polygons = [placed(outline(kind), radius, centre, angle)]
    if kind == "ring":
        inner = radius * rng.uniform(0.45, 0.7)
        polygons.append(placed(outline("disc"), inner, centre))
    image = background(rng, size)
    image.paste(grain(rng, size, rng.integers(0, 256, 3)), mask=mask(size, *polygons))
    return reduced(image)


def texture(rng: Rng, label: int) -> np.ndarray:
    """Stripes, checks, dots or nothing regular, in two colours, in any direction."""
    size = SIZE * SCALE
    rows, columns = np.indices((size, size)) / size
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.08, 0.2)
    u = (np.cos(angle) * columns + np.sin(angle) * rows) / period
    v = (np.cos(angle) * rows - np.sin(angle) * columns) / period
    waves = np.sin(2 * np.pi * u), np.sin(2 * np.pi * v)
    cells = rng.normal(size=(int(1 / period),) * 2)
    blurred = Image.fromarray(cells.astype(np.float32)).resize((size, size))
    kinds = waves[0], waves[0] * waves[1], waves[0] + waves[1] - 1, np.asarray(blurred)
    share = 1 / (1 + np.exp(-4 * kinds[label]))[..., None]
    one, other = rng.integers(0, 256, (2, 3))
    mixed = share * one + (1 - share) * other + rng.normal(size=(size, size, 1)) * 15
    return reduced(Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)))


def colour(rng: Rng, label: int) -> np.ndarray:
    """A red, green or blue disc among two grey ones, anywhere."""
    size = SIZE * SCALE
    own = np.full(3, rng.integers(20, 90))
    own[label] = rng.integers(150, 256)
    grey = background(rng, size).convert("L").convert("RGB")
    greys = [np.full(3, shade) for shade in rng.integers(0, 256, 2)]
    for shade in (*greys, own):
        radius = rng.uniform(0.08, 0.16) * size
        at = rng.uniform(radius, size - radius, 2)
        area = mask(size, placed(outline("disc"), radius, at))
        grey.paste(grain(rng, size, shade), mask=area)
    return reduced(grey)


def position(rng: Rng, label: int) -> np.ndarray:
    """A star in one of the four quarters of the picture."""
    size = SIZE * SCALE
    radius = rng.uniform(0.1, 0.2) * size
    corner = np.array([label % 2, label // 2]) * size / 2
    at = corner + rng.uniform(0.1, 0.4, 2) * size
    image = background(rng, size)
    polygon = placed(outline("star"), radius, at, rng.uniform(0, 2 * np.pi))
    image.paste(grain(rng, size, rng.integers(0, 256, 3)), mask=mask(size, polygon))
    return reduced(image)


def count(rng: Rng, label: int) -> np.ndarray:
    """One to four discs that do not touch."""
    size = SIZE * SCALE
    image, placed_discs = background(rng, size), []
    while len(placed_discs) <= label:
        radius = rng.uniform(0.06, 0.13) * size
        at = rng.uniform(radius, size - radius, 2)
        far = [np.hypot(*(at - other)) > radius + r + 8 for other, r in placed_discs]
        if all(far):
            placed_discs.append((at, radius))
            area = mask(size, placed(outline("disc"), radius, at))
            image.paste(grain(rng, size, rng.integers(0, 256, 3)), mask=area)
    return reduced(image)


def sound(rng: Rng, label: int) -> np.ndarray:
    """A tone that rises, falls, stays or trembles, at any time and pitch, in noise."""
    seconds = np.arange(SAMPLES) / RATE
    length, start = rng.uniform(0.25, 0.5), rng.uniform(0, 0.2)
    t = np.clip((seconds - start) / length, 0, 1)
    tremble = np.sin(2 * np.pi * rng.uniform(6, 10) * seconds)
    path = (t, 1 - t, np.full_like(t, 0.5), 0.5 + 0.25 * tremble)[label]
    low = rng.uniform(300, 900)
    frequency = low * 2 ** (path * rng.uniform(0.7, 1.3))
    wave = np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * ((t > 0) & (t < 1))
    noise = rng.normal(size=SAMPLES) * rng.uniform(0.2, 1.0)
    return (0.2 * (wave + noise)).astype(np.float32)


def table(rng: Rng, label: int) -> np.ndarray:
    """Twelve columns, of which five count: by a ratio, a threshold and a sum."""
    while True:
        x = rng.normal(size=12)
        score = x[0] * x[1] + 1.5 * (x[2] > 0.5) - 0.8 + x[3] - x[4]
        if (score + rng.normal() * 0.7 > 0) == bool(label):
            return x.astype(np.float32)


# How to draw an example, the classes, and the number of examples.
DRAWN: dict[str, tuple[Callable[[Rng, int], np.ndarray], int, int]] = {
    "shape": (shape, 3, 300),
    "texture": (texture, 4, 200),
    "colour": (colour, 3, 150),
    "position": (position, 4, 240),
    "count": (count, 4, 400),
    "sound": (sound, 4, 200),
    "table": (table, 2, 600),
}
NAMES = ("handwriting", *DRAWN)
INPUTS = {"sound": "signal", "table": "table"}


@functools.cache
def examples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and labels of a set."""
    if name == "handwriting":
        loaded = data.load("digits", size=32)
        return loaded.train["image"][:500], loaded.train["label"][:500]
    draw, classes, number = DRAWN[name]
    rng = np.random.default_rng([NAMES.index(name), 2026])
    labels = (np.arange(number) % classes).astype(np.int32)
    return np.stack([draw(rng, int(label)) for label in labels]), labels


def split(name: str, seed: int, *, random_labels: bool = False) -> data.Dataset:
    """A set with a fifth of the examples for tests, and a validation split.

    Args:
        name: One of `NAMES`.
        seed: Of the split.
        random_labels: Whether labels are shuffled, so that nothing can be learned.
    """
    inputs, labels = examples(name)
    if random_labels:
        labels = np.random.default_rng(seed).permutation(labels)
    rows = np.arange(len(labels))
    parts = train_test_split(rows, test_size=0.2, stratify=labels, random_state=seed)
    key = INPUTS.get(name, "image")
    train, test = ({key: inputs[part], "label": labels[part]} for part in parts)
    origin = Origin(AudioReader(RATE, SAMPLES), {}) if name == "sound" else None
    classes = tuple(map(str, range(labels.max() + 1)))
    dataset = data.Dataset(train=train, test=test, classes=classes, origin=origin)
    return with_validation(dataset, seed=seed)
