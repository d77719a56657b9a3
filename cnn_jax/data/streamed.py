"""Examples of TFDS that are read when they are needed."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

import cnn_jax.functional as F
from cnn_jax.data.readers import AudioReader, ImageReader


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """A source of labelled inputs of one size, all of TFDS's or some rows of them.

    Args:
        source: TFDS's random-access source.
        kind: The feature that is the input: `image` or `audio`.
        reader: Brings an input to one size; None where all have one.
        rate: Samples per second of audio.
        rows: The rows that belong to the split; all by default.
        undecoded: The same source without decoded images, from which labels are read;
            by default the source itself.
    """

    source: Sequence[Any]
    kind: str
    reader: ImageReader | AudioReader | None
    rate: int
    rows: np.ndarray | None = None
    undecoded: Sequence[Any] | None = None

    @property
    def name(self) -> str:
        """The name of the input in a split."""
        return "signal" if self.kind == "audio" else "image"

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        example = self.source[row if self.rows is None else int(self.rows[row])]
        label = np.int32(example["label"])
        return {self.name: self.read(example[self.kind]), "label": label}

    def read(self, x: np.ndarray) -> np.ndarray:
        """An input at its size."""
        if isinstance(self.reader, AudioReader):
            whole = np.issubdtype(x.dtype, np.integer)
            return self.reader.fit(x / 32768 if whole else x, self.rate)
        return x if self.reader is None else fit_image(x, self.reader)

    @cached_property
    def labels(self) -> np.ndarray:
        """The label of each example."""
        source = self.source if self.undecoded is None else self.undecoded
        rows = range(len(self.source)) if self.rows is None else self.rows
        return np.array([source[int(row)]["label"] for row in rows], np.int32)

    def take(self, rows: np.ndarray) -> "Examples":
        """Some rows of the source."""
        return dataclasses.replace(self, rows=rows)


def fit_image(image: np.ndarray, reader: ImageReader) -> np.ndarray:
    """An image of the reader's size; its dtype stays.

    Args:
        image: Bytes or floats (height, width, channels).
        reader: The reader with the size.
    """
    if image.shape == reader.shape:
        return image
    if image.dtype == np.uint8:
        return reader.fit(image)
    x = jnp.asarray(image)
    return np.asarray(F.resize(x, reader.size, method="cubic", antialias=True))
