"""How examples reach the device: all at once and for good, or a chunk at a time.

Both hand out the same batches in the same order, so the weights come out the same.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jaxtyping import Array

from cnn_jax.data import Dataset, input_name
from cnn_jax.data.dataset import batches, check_labels, length
from cnn_jax.training.config import Config

ON_DEVICE = 0.25  # The share of its memory that data may take.
LIMITS = (  # Where Linux says how much memory a container may use.
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
CHUNK = 2**26  # Bytes that are sent to the device at a time, or one batch.

log = logging.getLogger(__name__)


class Chunk(NamedTuple):
    """What some steps learn from: the rows of a batch are found in `order`."""

    inputs: Array
    labels: Array
    order: Array
    begin: Array


@dataclass
class OnDevice:
    """Examples that lie on the device: a step takes no bytes from the host."""

    inputs: Array
    labels: Array
    most: int

    def start(self, order: Array, begin: Array, first: int) -> None:
        """Takes an epoch's order, and the step it began with."""
        self._order, self._begin = order, begin

    def take(self, count: int) -> Chunk:
        """What the next `count` steps need."""
        return Chunk(self.inputs, self.labels, self._order, self._begin)

    def read(self, rows: np.ndarray) -> tuple[Array, Array]:
        """The inputs and labels of some rows."""
        return self.inputs[rows], self.labels[rows]


@dataclass
class Streamed:
    """Examples that are read while the device computes."""

    dataset: Dataset
    batch_size: int
    workers: int
    most: int

    def start(self, order: Array, begin: Array, first: int) -> None:
        """Begins to read an epoch at its batch `first`."""
        rows = np.asarray(order)[first * self.batch_size :]
        self._order, self._step = rows, int(begin) + first
        rows = np.maximum(rows, ~rows)
        split = self.dataset.train
        self._batches = batches(split, rows, self.batch_size, workers=self.workers)

    def take(self, count: int) -> Chunk:
        """Reads `count` batches, and fills up to as many as there are at most."""
        pairs = [next(self._batches) for _ in range(count)]
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
        check_labels("train", labels, len(self.dataset.classes))
        rows, size = np.arange(len(labels), dtype=np.int32), self.most * self.batch_size
        order = np.where(self._order[: len(rows)] < 0, ~rows, rows)
        begin = jnp.int32(self._step)
        self._order, self._step = self._order[len(rows) :], self._step + count
        x, y, order = (filled(array, size) for array in (inputs, labels, order))
        return Chunk(jnp.asarray(x), jnp.asarray(y), jnp.asarray(order), begin)

    def read(self, rows: np.ndarray) -> tuple[Array, Array]:
        """The inputs and labels of some rows."""
        inputs, labels = next(batches(self.dataset.train, rows, len(rows)))
        return jnp.asarray(inputs), jnp.asarray(labels)


def filled(array: np.ndarray, size: int) -> np.ndarray:
    """An array with `size` rows, the last of them zeros: one shape, one compilation."""
    return np.pad(array, [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1))


Feed = OnDevice | Streamed


def feeds(
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    nets: int,
    most: int,
    together: bool,
) -> Sequence[Feed]:
    """A feed for each network, or one for all where they learn together.

    Args:
        data: One set for all networks, or one for each.
        config: Which says how, or leaves it to the size.
        nets: How many networks there are.
        most: The most steps in one dispatch.
        together: Whether networks are stacked, which streamed examples cannot be.

    Returns:
        One feed, or as many as there are networks.
    """
    every = [data] if isinstance(data, Dataset) else list(data)
    if not fits(every, config):
        each = every * (nets // len(every))
        return [_streamed(one, config, most) for one in each]
    pairs = [_arrays(one) for one in every]
    if together and len(pairs) > 1:
        pairs = [jax.tree.map(lambda *arrays: np.stack(arrays), *pairs)]
    held = [(jnp.asarray(inputs), jnp.asarray(labels)) for inputs, labels in pairs]
    count = 1 if together else nets
    return [OnDevice(x, y, most) for x, y in held * (count // len(held))]


def fits(every: Sequence[Dataset], config: Config) -> bool:
    """Whether examples go to the device for good; says so in the log."""
    if not all(isinstance(one.train, Mapping) for one in every):
        size, fits = "a source", config.feed == "device"
    else:
        held = sum(array.nbytes for one in every for array in one.train.values())
        size = f"{held / 1e6:,.1f} MB"
        fits = held <= ON_DEVICE * _memory() and config.feed == "auto"
        fits = fits or config.feed == "device"
    kind = "lie on the device" if fits else "are streamed"
    log.info("examples (%s) %s, feed=%s", size, kind, config.feed)
    return fits


def _memory() -> int:
    """The bytes of the device; on a CPU those that this process may use."""
    statistics = jax.devices()[0].memory_stats() or {}
    limits = [path.read_text().strip() for path in LIMITS if path.is_file()]
    here = [psutil.virtual_memory().total, *map(int, filter(str.isdecimal, limits))]
    return statistics.get("bytes_limit", min(here))


def _streamed(one: Dataset, config: Config, most: int) -> Streamed:
    inputs, labels = next(batches(one.train, np.arange(1), 1))
    batch = config.batch_size * (inputs.nbytes + labels.nbytes)
    most = max(1, min(most, CHUNK // max(1, batch)))
    return Streamed(one, config.batch_size, config.workers, most)


def _arrays(one: Dataset) -> tuple[Any, Any]:
    if isinstance(one.train, Mapping):
        return one.train[input_name(one.train)], one.train["label"]
    rows = np.arange(length(one.train))
    inputs, labels = next(batches(one.train, rows, len(rows)))
    check_labels("train", labels, len(one.classes))
    return inputs, labels
