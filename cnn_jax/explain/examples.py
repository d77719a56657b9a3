"""Which examples excite a unit most, and which are nearest to an input."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from cnn_jax import nn
from cnn_jax.explain.inputs import as_input, check_chain, check_network
from cnn_jax.explain.stages import compiled
from cnn_jax.functional.checks import whole
from cnn_jax.nn import Chain, ReceptiveField


class TopExamples(NamedTuple):
    """The examples that excite units most, the strongest first.

    All begin with the axes of `unit`, then k.

    Attributes:
        activations: The largest activation in each example.
        indices: Of the examples, in the order in which they came.
        positions: Where in the feature map it is, (…, k, axes).
        crops: The receptive field there, (…, k, *size, channels); zeros beyond the
            edge. Where a unit reads the whole input along an axis, all of that axis.
    """

    activations: np.ndarray
    indices: np.ndarray
    positions: np.ndarray
    crops: np.ndarray


def top_examples(
    net: Chain,
    inputs: Any,
    cut: str,
    unit: int | Sequence[int] | None,
    *,
    k: int = 9,
    batch_size: int = 128,
) -> TopExamples:
    """The examples in which a unit has its largest activations.

    Examples are streamed: no more than a batch and the k best crops of each unit are
    held.

    Args:
        net: The network, in evaluation mode.
        inputs: An array (examples, …), or any iterable of such arrays, which is read
            once, so that data of any size can be used.
        cut: The stage of the units.
        unit: A channel, several, or None for all.
        k: Examples per unit; all examples if there are fewer.
        batch_size: Examples that are computed at once, if `inputs` is an array.

    Returns:
        Activations, indices, positions and crops. Each example counts once, at the
        position of its maximum.

    Raises:
        TypeError: If inputs are whole numbers, or `net` is no Chain.
        ValueError: If there is no such stage or unit, no example, a unit that was asked
            for is 0 in every example, or `net` is in training mode.

    Example:
        >>> net = Chain({"double": lambda x: 2 * x})
        >>> x = np.array([[[1.0], [4.0]], [[9.0], [0.0]]])
        >>> found = top_examples(net, x, "double", 0)
        >>> found.activations, found.indices, found.positions[:, 0]
        (array([18.,  8.], dtype=float32), array([1, 0]), array([0, 1]))

    Source:
        Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013,
        arXiv:1311.2901, figure 2.
    """
    whole(k, "k", minimum=1)
    run = _compiled(net, cut)
    best: TopExamples | None = None
    units, field, count, largest = np.zeros(0, int), None, 0, np.zeros(1)
    for batch in _batches(inputs, batch_size):
        maps = np.asarray(run(batch))
        if best is None:
            units, field = _units(unit, cut, maps.shape[-1]), _field(net, batch, cut)
        flat = maps.reshape(len(maps), -1, maps.shape[-1])[..., units]
        largest = np.maximum(largest, np.abs(flat).max(axis=(0, 1)))
        found = _of_batch(flat, maps.shape[1:-1], batch, field, k, count)
        best = found if best is None else _merged(best, found, k)
        count += len(batch)
    if best is None:
        raise ValueError("`inputs` is empty, but needs at least one example.")
    _check_alive(unit, cut, units, largest)
    shape = np.shape(units if unit is None else unit)
    return TopExamples(*(part.reshape(*shape, *part.shape[1:]) for part in best))


@dataclass(frozen=True)
class _Upto:
    """The output of a stage; equal records share a program."""

    cut: str

    def __call__(self, net: Chain, x: Array) -> Any:
        return net.run(x, upto=self.cut)


def _compiled(net: Chain, cut: str) -> Any:
    """The network up to a stage as a compiled function of a batch."""
    check_chain(net)
    check_network("net", net)
    return compiled(_Upto(cut), net)


def _batches(inputs: Any, batch_size: int) -> Iterator[Array]:
    """Batches of floats, from an array or an iterable of arrays."""
    whole(batch_size, "batch_size", minimum=1)
    if hasattr(inputs, "shape"):
        starts = range(0, len(inputs), batch_size)
        batches: Any = (inputs[i : i + batch_size] for i in starts)
    elif isinstance(inputs, Iterable):
        batches = inputs
    else:
        raise TypeError(
            f"`inputs` is {type(inputs).__name__}, but must be an array of examples or "
            "an iterable of such arrays."
        )
    for batch in batches:
        yield as_input("inputs", batch)


def _units(unit: Any, cut: str, channels: int) -> np.ndarray:
    """The channels that are asked for, as a flat array."""
    units = np.arange(channels) if unit is None else np.atleast_1d(unit).reshape(-1)
    if not np.issubdtype(units.dtype, np.integer):
        raise TypeError(f"`unit` is {unit!r}, but must be whole numbers.")
    if not len(units) or units.min() < 0 or units.max() >= channels:
        raise ValueError(
            f"`unit` is {unit}, but {cut!r} has {channels} channels: give 0 to "
            f"{channels - 1}."
        )
    return units


def _check_alive(unit: Any, cut: str, units: np.ndarray, largest: Any) -> None:
    """Refuses units that were asked for and are 0 everywhere."""
    dead = units[np.asarray(largest) == 0]
    if unit is not None and len(dead):
        raise ValueError(
            f"unit {dead[0]} of {cut!r} is 0 at every position of every example, so "
            "that none excites it: choose another unit."
        )


def _field(net: Chain, batch: Array, cut: str) -> ReceptiveField | None:
    """The receptive field of a unit, in positions of the input."""
    rows = {row.name: row for row in nn.summary(net, batch.shape[1:]).rows}
    inside = [path for path in rows if f"{path}/".startswith(f"{cut}/")]
    return rows[cut if cut in rows else inside[-1]].receptive_field


def _of_batch(
    flat: np.ndarray,
    size: tuple[int, ...],
    batch: Array,
    field: ReceptiveField | None,
    k: int,
    first: int,
) -> TopExamples:
    """The best examples of a batch, (units, k)."""
    where, highest = flat.argmax(axis=1).T, flat.max(axis=1).T
    order = np.argsort(-highest, axis=1, kind="stable")[:, :k]
    where = np.take_along_axis(where, order, axis=1)
    positions = np.stack(np.unravel_index(where, size), axis=-1) if size else None
    if positions is None:
        positions = np.zeros((*where.shape, 0), int)
    inputs = np.asarray(batch)
    crops = [
        [_crop(inputs[i], at, field) for i, at in zip(*one, strict=True)]
        for one in zip(order, positions, strict=True)
    ]
    values = np.take_along_axis(highest, order, axis=1)
    return TopExamples(values, order + first, positions, np.array(crops))


def _crop(
    x: np.ndarray, position: np.ndarray, field: ReceptiveField | None
) -> np.ndarray:
    """The receptive field of a position; zeros beyond the edge."""
    if field is None or len(position) != len(field.size):
        return x
    axes = zip(*field, position, x.shape, strict=False)
    for axis, (size, stride, offset, at, n) in enumerate(axes):
        if size < n:
            start = round(offset + stride * int(at) - (size - 1) / 2)
            x = np.pad(
                x, [(size, size) if i == axis else (0, 0) for i in range(x.ndim)]
            )
            start = int(np.clip(start + size, 0, n + size))
            x = x.take(range(start, start + size), axis=axis)
    return x


def _merged(one: TopExamples, other: TopExamples, k: int) -> TopExamples:
    """The k best of both for each unit."""
    both = [np.concatenate(pair, axis=1) for pair in zip(one, other, strict=True)]
    order = np.argsort(-both[0], axis=1, kind="stable")[:, :k]
    rows = np.arange(len(order))[:, None]
    return TopExamples(*(part[rows, order] for part in both))


class Nearest(NamedTuple):
    """The examples nearest to each input, the nearest first.

    Attributes:
        indices: Of the examples, (inputs, k).
        distances: Euclidean, in the features of the stage.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_examples(
    net: Chain, inputs: Any, x: Any, cut: str, *, k: int = 5, batch_size: int = 128
) -> Nearest:
    """The examples whose features at a stage are nearest to those of other inputs.

        distance = √ Σᵢ (features(x)[i] − features(example)[i])²

    Args:
        net: The network, in evaluation mode.
        inputs: The examples: an array, or any iterable of arrays, which is read once.
        x: The inputs that are compared with them, (inputs, …).
        cut: The stage whose output are the features.
        k: Examples per input; all if there are fewer.
        batch_size: Examples that are computed at once, if `inputs` is an array.

    Returns:
        Indices in the order in which the examples came, and distances.

    Raises:
        TypeError: If inputs are whole numbers, or `net` is no Chain.
        ValueError: If there is no such stage or no example, or `net` is in training
            mode.

    Example:
        >>> net = Chain({"double": lambda x: 2 * x})
        >>> found = nearest_examples(
        ...     net, np.array([[1.0], [5.0], [4.0]]), np.array([[4.5]]), "double", k=2
        ... )
        >>> found.indices, found.distances
        (array([[1, 2]]), array([[1., 1.]], dtype=float32))

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
        neural networks", 2012, section 6.1.
    """
    whole(k, "k", minimum=1)
    run = _compiled(net, cut)
    query = np.asarray(run(as_input("x", x)))
    query = query.reshape(len(query), -1)
    indices, distances, count = [], [], 0
    for batch in _batches(inputs, batch_size):
        features = np.asarray(run(batch)).reshape(len(batch), -1)
        distances.append(np.linalg.norm(query[:, None] - features, axis=-1))
        indices.append(np.arange(count, count + len(batch)))
        count += len(batch)
        if len(indices) > 1 or count > k:
            indices, distances = _nearest(indices, distances, k)
    if not count:
        raise ValueError("`inputs` is empty, but needs at least one example.")
    (found,), (away,) = _nearest(indices, distances, k)
    return Nearest(found, away)


def _nearest(indices: list, distances: list, k: int) -> tuple[list, list]:
    """The k nearest of all parts, as one part."""
    away = np.concatenate(distances, axis=1)
    wide = [np.broadcast_to(part, (len(away), part.shape[-1])) for part in indices]
    order = np.argsort(away, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(np.concatenate(wide, axis=1), order, axis=1)
    return [found], [np.take_along_axis(away, order, axis=1)]
