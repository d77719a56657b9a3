"""The way of examples to the device: all at once, or a chunk at a time.

Both provide the same batches in the same order, so the weights do not depend on it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax.sharding import Mesh
from jaxtyping import Array

from cnn_jax.data import Dataset, inputs_of
from cnn_jax.data.dataset import batches, check_labels, length
from cnn_jax.data.memory import container_limits
from cnn_jax.training.config import Config
from cnn_jax.training.mesh import ROWS_OF_STEPS, from_own_rows, own_rows, replicate

ON_DEVICE = 0.25  # The largest share of its memory that data may take.
CHUNK = 2**26  # Bytes sent to the device at a time; at least one batch.

log = logging.getLogger(__name__)


class Chunk(NamedTuple):
    """The examples of some steps; `order` holds the rows of each from `begin` on."""

    inputs: Any
    labels: Any
    order: Array
    begin: Array


@dataclass
class OnDevice:
    """Examples that are stored on the device, or on each of several."""

    inputs: Any
    labels: Any
    batch_size: int
    max_steps: int
    streamed: ClassVar[bool] = False

    def start(self, order: Array, begin: Array, first: int) -> None:
        """Takes the order of an epoch, and the step it started with."""
        self._order = order.reshape(*order.shape[:-1], -1, self.batch_size)
        self._begin = begin

    def take(self, count: int) -> Chunk:
        """The examples of the next `count` steps."""
        return Chunk(self.inputs, self.labels, self._order, self._begin)

    def read(self, rows: np.ndarray) -> tuple[Any, Any]:
        """The inputs and labels of some rows, on one device."""
        stored = jax.tree.map(
            lambda x: x.addressable_data(0), (self.inputs, self.labels)
        )
        return jax.tree.map(lambda array: array[rows], stored)


@dataclass
class Streamed:
    """Examples that are read while the device computes.

    Each process reads those rows of each batch that its own devices compute on.
    """

    dataset: Dataset
    batch_size: int
    workers: int
    max_steps: int
    mesh: Mesh | None = None
    streamed: ClassVar[bool] = True

    def start(self, order: Array, begin: Array, first: int) -> None:
        """Starts to read an epoch at its batch `first`."""
        self._order = np.asarray(order).reshape(-1, self.batch_size)[first:]
        self._step = int(begin) + first
        own = own_rows(self.mesh, self._order)
        self._own, rows = own.shape[1], np.maximum(own, ~own).reshape(-1)
        split = self.dataset.train
        self._batches = batches(split, rows, self._own, workers=self.workers)

    def take(self, count: int) -> Chunk:
        """Reads `count` batches, padded to `max_steps` batches."""
        pairs = [next(self._batches) for _ in range(count)]
        chunk = jax.tree.map(lambda *arrays: np.stack(arrays), *pairs)
        for _, labels in pairs:
            check_labels("train", labels, len(self.dataset.classes))
        begin, order = self._step, self._order[:count]
        self._order, self._step = self._order[count:], begin + count
        x, y, order = (
            jax.tree.map(partial(padded, size=self.max_steps), one)
            for one in (*chunk, order)
        )
        x, y = from_own_rows(self.mesh, (x, y), ROWS_OF_STEPS)
        return Chunk(x, y, *replicate(self.mesh, (order, np.int32(begin))))

    def read(self, rows: np.ndarray) -> tuple[Any, Any]:
        """The inputs and labels of some rows, on one device."""
        batch = next(batches(self.dataset.train, rows, len(rows)))
        return jax.tree.map(jnp.asarray, batch)


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """An array that is padded with zeros to `size` rows.

    All batches then have one shape, and one compilation serves them.
    """
    pad = [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, pad)


Feed = OnDevice | Streamed


def feeds(
    data: Dataset | Sequence[Dataset],
    config: Config,
    *,
    nets: int,
    max_steps: int,
    stored: bool,
    together: bool,
    mesh: Mesh | None,
) -> Sequence[Feed]:
    """A feed for each network, or one for all where they are stacked.

    Args:
        data: One set for all networks, or one for each.
        config: The options.
        nets: The number of networks.
        max_steps: The largest number of steps in one dispatch.
        stored: Whether examples are stored on the device; see `fits`.
        together: Whether networks are stacked, which streamed examples cannot be.
        mesh: The devices, each of which stores all examples if they fit.

    Returns:
        One feed, or as many as there are networks.
    """
    every = [data] if isinstance(data, Dataset) else list(data)
    if not stored:
        each = every * (nets // len(every))
        return [_streamed(one, config, max_steps, mesh) for one in each]
    pairs = [_arrays(one) for one in every]
    if together and len(pairs) > 1:
        pairs = [jax.tree.map(lambda *arrays: np.stack(arrays), *pairs)]
    pairs, size = replicate(mesh, pairs), config.batch_size
    count = 1 if together else nets
    return [OnDevice(x, y, size, max_steps) for x, y in pairs * (count // len(pairs))]


def fits(every: Sequence[Dataset], config: Config) -> bool:
    """Whether examples are stored on the device; the log tells which."""
    if not all(isinstance(one.train, Mapping) for one in every):
        size, fits = "a source", config.feed == "device"
    else:
        size_in_bytes = sum(a.nbytes for one in every for a in one.train.values())
        size = f"{size_in_bytes / 1e6:,.1f} MB"
        fits = size_in_bytes <= device_share() and config.feed == "auto"
        fits = fits or config.feed == "device"
    kind = "lie on the device" if fits else "are streamed"
    log.info("examples (%s) %s, feed=%s", size, kind, config.feed)
    return fits


def device_share() -> float:
    """The bytes of the device's memory that data may take."""
    return ON_DEVICE * _memory()


def _memory() -> int:
    """The memory of the device in bytes; on a CPU that which the process may use."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    here = [psutil.virtual_memory().total, *container_limits()]
    return statistics.get("bytes_limit", min(here))


def _streamed(
    one: Dataset, config: Config, max_steps: int, mesh: Mesh | None
) -> Streamed:
    example = jax.tree.leaves(next(batches(one.train, np.arange(1), 1)))
    batch = config.batch_size * sum(array.nbytes for array in example)
    max_steps = max(1, min(max_steps, CHUNK // max(1, batch)))
    return Streamed(one, config.batch_size, config.workers, max_steps, mesh)


def _arrays(one: Dataset) -> tuple[Any, Any]:
    if isinstance(one.train, Mapping):
        return inputs_of(one.train), one.train["label"]
    rows = np.arange(length(one.train))
    inputs, labels = next(batches(one.train, rows, len(rows)))
    check_labels("train", labels, len(one.classes))
    return inputs, labels
