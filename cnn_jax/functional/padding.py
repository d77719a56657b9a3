"""What stands around the edges of a signal, picture or volume.

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
    floating,
    one_batch,
    per_axis,
    whole,
)
from cnn_jax.lowering import Geometry

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Padding = Literal["valid", "same"] | PerAxis | Sequence[Sequence[int]]

# The names that jax.numpy.pad has for them.
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
    """Surrounds the spatial axes of `x` with more places.

    With p places added before an axis of n, place i of the result is x[j], where

        zeros      j = i − p, and `value` outside 0 … n − 1
        replicate  j = i − p cut to 0 … n − 1
        reflect    j = i − p mirrored at 0 and n − 1, which are not repeated
        circular   j = (i − p) mod n

    Args:
        x: Signals, pictures or volumes.
        padding: One entry per spatial axis, a number for both sides or a pair
            (before, after). How many entries there are says how many spatial axes.
        mode: What stands in the new places.
        value: What `mode="zeros"` writes there.

    Returns:
        `x` with longer spatial axes.

    Raises:
        TypeError: If `padding` is not a tuple of 1 to 3 entries, or `x` has fewer axes
            than it needs.
        ValueError: If an entry is negative, the mode is unknown, or the axis is too
            short: to reflect takes at most n − 1 places, to wrap at most n.

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
        raise ValueError(f'`value` is {value}, but only `mode="zeros"` writes it.')
    x, batch = one_batch(x, axes)
    size = x.shape[1:-1]
    pads = as_pads(padding, Geometry(size, size, (1,), (), (1,)))
    for n, sides in zip(size, pads, strict=True):
        _check_reach(n, max(sides), mode)
    width = [(0, 0), *pads, (0, 0)]
    if mode == "zeros":
        out = jnp.pad(x, width, constant_values=value)
    else:
        out = jnp.pad(x, width, mode=_NUMPY_MODES[mode])
    return out.reshape(*batch, *out.shape[1:])


def as_pads(padding: Padding, windows: Geometry) -> tuple[tuple[int, int], ...]:
    """The places before and after each axis; the pads of `windows` are not read."""
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
    # XLA's rule: ⌈n / s⌉ places, and an odd pad goes to the far side.
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
    most = {"reflect": n - 1, "circular": n}.get(mode, reach)
    if reach > most:
        raise ValueError(
            f"`padding` adds {reach} places to an axis of {n}, but {mode!r} can add at "
            f"most {most}: pad less, or in another mode."
        )
