"""Receptive fields: which pixels of the input a unit depends on."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnn_jax.functional.checks import Number
from cnn_jax.functional.padding import as_pads
from cnn_jax.lowering import Geometry


class ReceptiveField(NamedTuple):
    """The receptive field of a unit, per spatial axis, in pixels of the input.

    `size` is the extent of one unit's field, `stride` the distance between the fields
    of two neighbouring units, and `offset` the centre of the first unit's field, where
    0 is the centre of the first pixel. After a `ConvTranspose` the fields of units
    differ in size: `size` is the largest, and `stride` may be a fraction.
    """

    size: tuple[int, ...]
    stride: tuple[Number, ...]
    offset: tuple[Number, ...]


def of_pixels(axes: int) -> ReceptiveField:
    """The receptive field of the input itself: one pixel each."""
    return ReceptiveField((1,) * axes, (1,) * axes, (0.0,) * axes)


def of_window(
    size: tuple[int, ...],
    window: tuple[int, ...],
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
) -> ReceptiveField:
    """The receptive field of one convolution or pooling, in positions of its input.

    With window k, dilation d, stride s and p padding elements before an axis it has

        size d·(k − 1) + 1,   stride s,   offset d·(k − 1) / 2 − p

    Args:
        size: Spatial size of the input, from which `"same"` computes its padding.
        window: Taps along the last `len(window)` spatial axes.
        stride: As the stage has it; None for the window.
        padding: As the stage has it.
        dilation: As the stage has it.
    """
    size = size[-len(window) :]
    stride = _per_axis(window if stride is None else stride, window)
    dilation = _per_axis(dilation, window)
    pads = as_pads(padding, Geometry(size, window, stride, (), dilation))
    spans = [d * (k - 1) for k, d in zip(window, dilation, strict=True)]
    return ReceptiveField(
        size=tuple(span + 1 for span in spans),
        stride=stride,
        offset=tuple(
            span / 2 - before for span, (before, _) in zip(spans, pads, strict=True)
        ),
    )


def of_transposed_window(
    size: tuple[int, ...],
    window: tuple[int, ...],
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
) -> ReceptiveField:
    """The receptive field of a transposed convolution, in positions of its input.

    If the convolution that it transposes has size k, stride s and offset o, it has

        size ⌊(k − 1) / s⌋ + 1,   stride 1 / s,   offset −o / s

    The arguments are those of `of_window`.
    """
    if padding == "same":  # Computed from the size of the output, n·s.
        strides = (1,) * (len(size) - len(window)) + _per_axis(stride, window)
        size = tuple(n * s for n, s in zip(size, strides, strict=True))
    field = of_window(size, window, stride=stride, padding=padding, dilation=dilation)
    axes = list(zip(*field, strict=True))
    return ReceptiveField(
        size=tuple((k - 1) // int(s) + 1 for k, s, _ in axes),
        stride=tuple(1 / s for _, s, _ in axes),
        offset=tuple(-o / s for _, s, o in axes),
    )


def compose(field: ReceptiveField, stage: ReceptiveField) -> ReceptiveField:
    """The receptive field after a stage, from the one before it.

    A field (r, j, o) before and (k, s, c) of the stage itself give

        r + ⌈(k − 1)·j⌉,   j·s,   o + c·j

    The stage may have fewer axes: the first ones are then unchanged.
    """
    first = of_pixels(len(field.size) - len(stage.size))
    padded = [(*ours, *theirs) for ours, theirs in zip(first, stage, strict=True)]
    axes = list(zip(*field, *padded, strict=True))
    return ReceptiveField(
        size=tuple(r + math.ceil((k - 1) * j) for r, j, _, k, _, _ in axes),
        stride=tuple(_whole(j * s) for _, j, _, _, s, _ in axes),
        offset=tuple(o + c * j for _, j, o, _, _, c in axes),
    )


def union(fields: Sequence[ReceptiveField | None]) -> ReceptiveField | None:
    """The receptive field of a unit that reads several branches.

    It reaches from the nearest to the farthest pixel of any branch. None, the whole
    input, if that is the field of any branch.
    """
    if None in fields:
        return None
    branches = [zip(*field, strict=True) for field in fields if field is not None]
    joined = []
    for axis in zip(*branches, strict=True):
        low = min(offset - (size - 1) / 2 for size, _, offset in axis)
        high = max(offset + (size - 1) / 2 for size, _, offset in axis)
        joined.append((int(high - low) + 1, axis[0][1], (low + high) / 2))
    return ReceptiveField(*zip(*joined, strict=True))


def after(
    stage: Any, x: Any, output: Any, field: ReceptiveField | None
) -> ReceptiveField | None:
    """The receptive field after a stage; None if a unit depends on the whole input.

    A stage with a method `receptive_field(size)` states its own, in positions of its
    input, whose spatial size is `size`. Any other stage that preserves the spatial
    size, such as an activation, is taken to work position by position.

    Args:
        stage: The stage.
        x: Shape of its input.
        output: Shape of its output.
        field: The receptive field of its input.
    """
    # Max pooling may return its indices beside the maxima.
    output = output[0] if isinstance(output, tuple) else output
    if field is None or not hasattr(x, "shape") or output.ndim != x.ndim:
        return None
    size = x.shape[:-1]
    if hasattr(stage, "receptive_field"):
        return compose(field, stage.receptive_field(size))
    same = output.shape[:-1] == size and len(size) == len(field.size)
    return field if same else None


def _per_axis(value: Any, window: tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * len(window)


def _whole(value: Number) -> Number:
    """An int where the value is whole up to rounding, as 1 / 49 · 49 is."""
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-9 else value
