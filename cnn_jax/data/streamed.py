"""Examples of TFDS that are read when they are needed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

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
    """

    source: Sequence[Any]
    kind: str
    reader: ImageReader | AudioReader | None
    rate: int
    rows: np.ndarray | None = None

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
        return x if self.reader is None else self.reader.fit(x)

    def labels(self) -> np.ndarray:
        """The labels of all examples."""
        return np.array([example["label"] for example in self.source], np.int32)

    def take(self, rows: np.ndarray) -> "Examples":
        """Some rows of the source."""
        return dataclasses.replace(self, rows=rows)
