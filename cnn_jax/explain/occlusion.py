"""Occlusion: how a logit changes where a part of the input is covered."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.explain.inputs import Network, as_baseline, prepared, select
from cnn_jax.functional.checks import PerAxis, per_axis, sizes, whole


def occlusion(
    f: Network,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    window: Sequence[int],
    stride: PerAxis | None = None,
    value: Any = 0.0,
    batch_size: int = 8,
) -> Float[Array, "..."]:
    """Fall of the target's logit where a window of the input is covered.

        score[i] = mean over windows w that hold i of  f(x) − f(x without w)

    Windows lie `stride` apart, and the last one along an axis may reach beyond the
    edge. A window covers all channels.

    Args:
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs: (*batch, *spatial, channels), or (*batch, *spatial) for audio and for
            rows of a table.
        target: A class for all inputs, one for each, or None for the largest logit.
        window: Positions that are covered along each spatial axis; its length is the
            number of these axes.
        stride: Positions from one window to the next, at most `window`, which is the
            default.
        value: What takes the values of covered positions: a number, one input or as
            many as `x`.
        batch_size: The number of windows that are computed at once.

    Returns:
        A score for every position, (*batch, *spatial).

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `window` has another number of
            axes or leaves gaps, `value` has another shape, or `f` is in training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[1.0], [-2.0], [3.0]])
        >>> occlusion(f, jnp.array([5.0, 7.0, 2.0]), window=(1,))
        Array([  5., -14.,   6.], dtype=float32)

    Source:
        Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013,
        arXiv:1311.2901, section 4.2; captum, captum.attr.Occlusion.
    """
    whole(batch_size, "batch_size", minimum=1)
    window = sizes(window, "window")
    x, target = prepared(f, x, target)
    spatial = _spatial(x.shape[target.ndim :], window)
    steps = per_axis(window if stride is None else stride, len(window), "stride")
    starts = _starts(spatial, window, steps)
    base = as_baseline("value", value, x, target.ndim)
    original = select(f(x), target)
    coordinates = jnp.indices(spatial)

    def covered(start: Array) -> Array:
        shape = (-1, *(1,) * len(spatial))
        first, size = start.reshape(shape), jnp.array(window).reshape(shape)
        inside = (coordinates >= first) & (coordinates < first + size)
        return jnp.all(inside, axis=0)

    def fall(start: Array) -> Array:
        mask = covered(start)
        mask = mask if x.ndim == target.ndim + mask.ndim else mask[..., None]
        mask = jnp.broadcast_to(mask, x.shape)
        return original - select(f(jnp.where(mask, base, x)), target)

    def add(sums: tuple[Array, Array], one: Any) -> tuple[tuple[Array, Array], None]:
        start, falls = one
        mask = covered(start).astype(x.dtype)
        wide = mask.reshape((1,) * falls.ndim + mask.shape)
        falls = falls.reshape(falls.shape + (1,) * mask.ndim)
        return (sums[0] + falls * wide, sums[1] + mask), None

    falls = lax.map(fall, starts, batch_size=batch_size)
    zeros = jnp.zeros((*target.shape, *spatial), x.dtype), jnp.zeros(spatial, x.dtype)
    (total, count), _ = lax.scan(add, zeros, (starts, falls))
    return total / jnp.broadcast_to(count, total.shape)


def _spatial(shape: tuple[int, ...], window: tuple[int, ...]) -> tuple[int, ...]:
    """The spatial axes of one input, with or without channels behind them."""
    if len(shape) - len(window) not in (0, 1):
        raise ValueError(
            f"`window` has {len(window)} axes, but one input has shape {shape}: give "
            "one number per spatial axis."
        )
    return shape[: len(window)]


def _starts(
    spatial: tuple[int, ...], window: tuple[int, ...], steps: tuple[int, ...]
) -> Array:
    """The first position of every window."""
    for axis, (size, step) in enumerate(zip(window, steps, strict=True)):
        if step > size:
            raise ValueError(
                f"`stride` is {step} along axis {axis}, but `window` is {size}, so "
                f"that positions between windows have no score: give at most {size}."
            )
    each = [
        range(0, max(n - k, 0) + s, s)
        for n, k, s in zip(spatial, window, steps, strict=True)
    ]
    return jnp.array(np.array(list(itertools.product(*each)), np.int32))
