"""Pooling: a picture shrinks, and the best or the mean of each window stays.

Arrays are channels-last: `(*batch, *spatial, channels)`, with as many spatial axes as
`window` has entries. Any number of leading batch axes is allowed, none included. Depth
is unchanged. No gradient scatters, so each is the same in every run.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.convolution import check_fit
from cnn_jax.functional.door import PerAxis, floating, one_batch, per_axis, window_of
from cnn_jax.functional.padding import Padding, as_pads
from cnn_jax.lowering import Geometry


def max_pool(
    x: Float[Array, "... channels"],
    window: Sequence[int],
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Float[Array, "... channels"]:
    """Keeps the largest value of each window.

    With stride s, dilation d and p places before each axis, over the taps u of
    `window`,

        out[i, c] = max x[i·s + u·d − p, c]

    where added places never win. The first of equal values, in reading order, receives
    the gradient; a NaN in the window is its maximum. An axis of n places leaves
    ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1, or ⌈…⌉ + 1 with `ceil_mode`, where windows may
    hang over the far edge but none may start beyond `x` and its near pad.

    Args:
        x: Feature maps.
        window: Places along each spatial axis.
        stride: Places from one window to the next; the window's own size by default.
        padding: Places added around `x`, at most half of what the window spans.
        dilation: Places from one tap to the next.
        ceil_mode: Whether a window that hangs over the far edge counts.
        return_indices: Not available; `True` is refused.

    Returns:
        Smaller feature maps, as many as before.

    Raises:
        TypeError: If `window` is not a tuple of 1 to 3 numbers, or `x` has too few axes
            or is not floating point.
        ValueError: If the window is larger than `x` with its padding, or an option is
            out of range.
        NotImplementedError: If indices are asked for.

    Example:
        >>> x = jnp.arange(6.0).reshape(2, 3, 1)
        >>> max_pool(x, (2, 2), ceil_mode=True)[..., 0]
        Array([[4., 5.]], dtype=float32)

    Source:
        PyTorch, torch.nn.MaxPool2d, whose sizes and `ceil_mode` these are.
    """
    if return_indices:
        raise NotImplementedError(
            "`return_indices` is True, but `max_pool` returns values alone."
        )
    (x,) = floating(x=x)
    flat, batch = one_batch(x, len(window_of(window)))
    windows, _ = _windows(flat, window, stride, padding, dilation, ceil_mode)
    out = lowering.max_pool(flat, windows)
    return out.reshape(*batch, *out.shape[1:])


def avg_pool(
    x: Float[Array, "... channels"],
    window: Sequence[int],
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float[Array, "... channels"]:
    """Keeps the mean of each window.

        out[i, c] = 1/N[i] · Σ x[i·s + u·d − p, c]

    with the letters and sizes of `max_pool`. N counts the taps that lie on `x` and its
    padding, or on `x` alone; what hangs over beyond that by `ceil_mode` never counts.

    Args:
        x: Feature maps.
        window: Places along each spatial axis.
        stride: Places from one window to the next; the window's own size by default.
        padding: Zeros added around `x`, at most half of what the window spans.
        dilation: Places from one tap to the next.
        ceil_mode: Whether a window that hangs over the far edge counts.
        count_include_pad: Whether added zeros count as values.

    Returns:
        Smaller feature maps, as many as before.

    Raises:
        TypeError: As `max_pool`.
        ValueError: As `max_pool`.

    Example:
        >>> x = jnp.array([[1.0], [2.0], [6.0]])
        >>> before = dict(stride=1, padding=((1, 0),))
        >>> avg_pool(x, (2,), **before, count_include_pad=False)[:, 0]
        Array([1. , 1.5, 4. ], dtype=float32)

    Source:
        PyTorch, torch.nn.AvgPool2d, whose sizes and divisor these are.
    """
    (x,) = floating(x=x)
    flat, batch = one_batch(x, len(window_of(window)))
    windows, pads = _windows(flat, window, stride, padding, dilation, ceil_mode)
    counts = _counts(windows, pads if count_include_pad else ((0, 0),) * len(pads))
    wide = flat.astype(jnp.promote_types(x.dtype, jnp.float32))
    out = lowering.sum_pool(wide, windows)
    out = (out / jnp.broadcast_to(jnp.asarray(counts, out.dtype), out.shape)).astype(
        x.dtype
    )
    return out.reshape(*batch, *out.shape[1:])


def sum_pool(
    x: Float[Array, "... channels"],
    window: Sequence[int],
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Float[Array, "... channels"]:
    """Keeps the sum of each window.

        out[i, c] = Σ x[i·s + u·d − p, c]

    with the letters and sizes of `max_pool`.

    Args:
        x: Feature maps.
        window: Places along each spatial axis.
        stride: Places from one window to the next; the window's own size by default.
        padding: Zeros added around `x`, at most half of what the window spans.
        dilation: Places from one tap to the next.
        ceil_mode: Whether a window that hangs over the far edge counts.

    Returns:
        Smaller feature maps, as many as before.

    Raises:
        TypeError: As `max_pool`.
        ValueError: As `max_pool`.

    Example:
        >>> sum_pool(jnp.array([[1.0], [2.0], [6.0]]), (2,), stride=1)[:, 0]
        Array([3., 8.], dtype=float32)

    Source:
        PyTorch, torch.nn.AvgPool2d, with a divisor of 1.
    """
    (x,) = floating(x=x)
    flat, batch = one_batch(x, len(window_of(window)))
    windows, _ = _windows(flat, window, stride, padding, dilation, ceil_mode)
    out = lowering.sum_pool(flat, windows)
    return out.reshape(*batch, *out.shape[1:])


def global_avg_pool(
    x: Float[Array, "... channels"], *, spatial: int = 2
) -> Float[Array, "... channels"]:
    """Keeps one number per feature map: its mean.

        out[c] = 1/N · Σ x[i, c], over all N places i

    Args:
        x: Feature maps.
        spatial: How many axes before the channels are averaged away.

    Returns:
        A list of features, the spatial axes gone.

    Raises:
        TypeError: If `x` has fewer than `spatial` axes and one for channels, or is not
            floating point.
        ValueError: If `spatial` is not 1, 2 or 3, or there are no places to average.

    Example:
        >>> global_avg_pool(jnp.arange(6.0).reshape(3, 1, 2))
        Array([2., 3.], dtype=float32)

    Source:
        Lin, Chen & Yan, "Network In Network", 2014, arXiv:1312.4400, section 3.2.
    """
    (x,) = floating(x=x)
    if spatial not in (1, 2, 3):
        raise ValueError(f"`spatial` is {spatial}, but must be 1, 2 or 3.")
    if x.ndim < spatial + 1:
        raise TypeError(
            f"`x` has {x.ndim} axes, but needs at least {spatial + 1}: {spatial} "
            "spatial and one for channels."
        )
    axes = tuple(range(-spatial - 1, -1))
    if 0 in x.shape[-spatial - 1 : -1]:
        raise ValueError(
            f"`x` has shape {x.shape}, but 0 places along a spatial axis have no mean."
        )
    return jnp.mean(x, axis=axes)


def _windows(
    x: Array,
    window: Sequence[int],
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool,
) -> tuple[Geometry, tuple[tuple[int, int], ...]]:
    """Where the windows lie, what hangs over in the far pads; and the pads alone."""
    axes = len(window)
    windows = Geometry(
        size=x.shape[1:-1],
        window=window_of(window),
        stride=per_axis(window if stride is None else stride, axes, "stride"),
        pads=(),
        dilation=per_axis(dilation, axes, "dilation"),
    )
    if ceil_mode and padding == "same":
        raise ValueError(
            '`padding` is "same", but `ceil_mode` is True, which would pad twice: '
            "choose one of the two."
        )
    pads = as_pads(padding, windows)
    windows = windows._replace(pads=pads)
    _check_pads(windows)
    if ceil_mode:
        windows = _hanging_over(windows)
    check_fit(windows)
    return windows, pads


def _hanging_over(windows: Geometry) -> Geometry:
    pads = []
    for axis, (near, far) in enumerate(windows.pads):
        n, s = windows.size[axis], windows.stride[axis]
        span = windows.dilation[axis] * (windows.window[axis] - 1) + 1
        places = -(-(n + near + far - span) // s) + 1
        if (places - 1) * s >= n + near:  # It would start in the padding: drop it.
            places -= 1
        pads.append((near, max(far, (places - 1) * s + span - n - near)))
    return windows._replace(pads=tuple(pads))


def _check_pads(windows: Geometry) -> None:
    for axis, sides in enumerate(windows.pads):
        span = windows.dilation[axis] * (windows.window[axis] - 1) + 1
        if 2 * max(sides) > span:
            raise ValueError(
                f"`padding` adds {max(sides)} places to a side, but the window spans "
                f"{span} along spatial axis {axis}: at most half, {span // 2}, will do."
            )


def _counts(windows: Geometry, pads: Sequence[tuple[int, int]]) -> np.ndarray:
    """How many taps of each window lie on the array and these pads."""
    counts = []
    for axis, (near, far) in enumerate(pads):
        starts = np.arange(windows.places[axis]) * windows.stride[axis]
        taps = np.arange(windows.window[axis]) * windows.dilation[axis]
        at = starts[:, None] + taps - windows.pads[axis][0]
        counts.append(((at >= -near) & (at < windows.size[axis] + far)).sum(axis=1))
    # A dilated window can miss a very short axis altogether; its sum, 0, is its mean.
    return np.maximum(math.prod(np.ix_(*counts, [1])), 1)  # pyright: ignore[reportReturnType]
