"""Padding of signals, images and volumes.

Arrays are channels-last. Any number of leading batch axes is allowed, none included.
"""

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.functional.checks import (
    Number,
    PerAxis,
    axes_of,
    check_size,
    floating,
    merge_batch_axes,
    per_axis,
    whole,
)
from cnn_jax.lowering import Geometry

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Padding = Literal["valid", "same"] | PerAxis | Sequence[Sequence[int]]

# The names of the modes in jax.numpy.pad.
_NUMPY_MODES: dict[str, Any] = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def pad(
    x: Float[Array, "... channels"],
    padding: Sequence[int] | Sequence[Sequence[int]],
    *,
    mode: PaddingMode = "zeros",
    value: Number = 0,
) -> Float[Array, "... channels"]:
    """Pads the spatial axes of `x`.

    With p elements added before an axis of size n, element i of the result is x[j]:

        zeros      j = i − p, and `value` outside 0 … n − 1
        replicate  j = i − p clipped to 0 … n − 1
        reflect    j = i − p reflected at 0 and n − 1, which are not repeated
        circular   j = (i − p) mod n

    Args:
        x: Signals, images or volumes.
        padding: One entry per spatial axis, a number for both sides or a pair
            (before, after). The number of entries is the number of spatial axes.
        mode: Values of the padding elements.
        value: The padding value of `mode="zeros"`.

    Returns:
        `x` with longer spatial axes.

    Raises:
        TypeError: If `padding` is not a tuple of 1 to 3 entries, or `x` has fewer axes
            than it needs.
        ValueError: If an entry is negative, the mode is unknown, or the axis is too
            short: `"reflect"` adds at most n − 1 elements and `"circular"` at most n.

    Example:
        >>> pad(jnp.array([[1.0], [2.0], [3.0]]), ((2, 1),), mode="reflect")[:, 0]
        Array([3., 2., 1., 2., 3., 2.], dtype=float32)

    Source:
        PyTorch, torch.nn.functional.pad, whose four modes these are.
    """
    (x,) = floating(x=x)
    axes = len(axes_of(padding, "padding"))
    check_mode("mode", mode)
    if mode != "zeros" and value != 0:
        raise ValueError(f'`value` is {value}, but only `mode="zeros"` uses it.')
    x, batch = merge_batch_axes(x, axes)
    size = x.shape[1:-1]
    pads = as_pads(padding, Geometry(size, size, (1,), (), (1,)))
    for n, sides in zip(size, pads, strict=True):
        _check_reach(n, max(sides), mode)
    check_size("padding", [n + sum(p) for n, p in zip(size, pads, strict=True)])
    width = [(0, 0), *pads, (0, 0)]
    if mode == "zeros":
        out = jnp.pad(x, width, constant_values=value)
    else:
        out = jnp.pad(x, width, mode=_NUMPY_MODES[mode])
    return out.reshape(*batch, *out.shape[1:])


def as_pads(padding: Padding, windows: Geometry) -> tuple[tuple[int, int], ...]:
    """The padding elements before and after each axis, given all but the pads."""
    axes = len(windows.size)
    if padding == "valid":
        return ((0, 0),) * axes
    if padding == "same":
        return _same(windows)
    if isinstance(padding, str):
        raise ValueError(
            f'`padding` is {padding!r}, but must be "valid", "same" or numbers.'
        )
    if isinstance(padding, Sequence) and any(isinstance(p, Sequence) for p in padding):
        return _pairs(padding, axes)
    return tuple((p, p) for p in per_axis(padding, axes, "padding", minimum=0))  # pyright: ignore[reportArgumentType]


def check_mode(name: str, mode: str) -> None:
    """Refuses a padding mode that does not exist."""
    if mode not in _NUMPY_MODES:
        known = ", ".join(map(repr, _NUMPY_MODES))
        raise ValueError(f"`{name}` is {mode!r}, but must be one of {known}.")


def _same(windows: Geometry) -> tuple[tuple[int, int], ...]:
    # XLA's rule: output size ⌈n / s⌉; an odd element of padding goes to the end.
    pads = []
    for n, k, s, d in zip(
        windows.size, windows.window, windows.stride, windows.dilation, strict=True
    ):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def _pairs(padding: Sequence, axes: int) -> tuple[tuple[int, int], ...]:
    if len(padding) != axes or any(
        not isinstance(pair, Sequence) or len(pair) != 2 for pair in padding
    ):
        raise ValueError(
            f"`padding` is {padding}, but for {axes} spatial axes it must be a number, "
            f"{axes} numbers, or {axes} pairs (before, after)."
        )
    return tuple(
        (whole(before, "padding", minimum=0), whole(after, "padding", minimum=0))
        for before, after in padding
    )


def _check_reach(n: int, reach: int, mode: PaddingMode) -> None:
    maximum = {"reflect": n - 1, "circular": n}.get(mode, reach)
    if reach > maximum:
        raise ValueError(
            f"`padding` adds {reach} elements to an axis of size {n}, but {mode!r} "
            f"adds at most {maximum}: use less padding or another mode."
        )
