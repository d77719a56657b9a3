"""Pooling: a picture shrinks, and the best or the mean of each window stays.

Arrays are channels-last: `(*batch, *spatial, channels)`, with as many spatial axes as
`window` has entries. Any number of leading batch axes is allowed, none included. Depth
is unchanged. No gradient scatters, so each is the same in every run.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree, Shaped

from cnn_jax import lowering
from cnn_jax.functional.checks import (
    Number,
    PerAxis,
    axes_of,
    check_fit,
    floating,
    merge_batch_axes,
    per_axis,
    sizes,
    spatial_axes,
)
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
) -> PyTree[Shaped[Array, "... channels"]]:
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
        padding: Places added around `x`, at most half of what the window spans (of its
            taps, says PyTorch for volumes).
        dilation: Places from one tap to the next.
        ceil_mode: Whether a window that hangs over the far edge counts.
        return_indices: Whether to say where each maximum lay, as `max_unpool` reads it.

    Returns:
        Smaller feature maps, as many as before. With `return_indices` a pair: the maps,
        and for each value its place in the spatial axes of `x` made flat, an int32.

    Raises:
        TypeError: If `window` is not a tuple of 1 to 3 numbers, or `x` has too few axes
            or is not floating point.
        ValueError: If the window is larger than `x` with its padding, or an option is
            out of range.

    Example:
        >>> x = jnp.arange(6.0).reshape(2, 3, 1)
        >>> max_pool(x, (2, 2), ceil_mode=True)[..., 0]
        Array([[4., 5.]], dtype=float32)

    Source:
        PyTorch, torch.nn.MaxPool2d, whose sizes and `ceil_mode` these are.
    """
    pool = lowering.max_pool_with_indices if return_indices else lowering.max_pool
    return _pool(pool, x, window, stride, padding, dilation, ceil_mode)


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
    (PyTorch refuses a volume that is smaller than the window before it is padded.)

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

    def mean(x: Array, windows: Geometry) -> Array:
        pads = as_pads(padding if count_include_pad else 0, windows)
        counts = _counts(windows, pads)
        out = lowering.sum_pool(lowering.promote_to_float32(x), windows)
        out = out / jnp.broadcast_to(jnp.asarray(counts, out.dtype), out.shape)
        return out.astype(x.dtype)

    return _pool(mean, x, window, stride, padding, dilation, ceil_mode)


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
    return _pool(lowering.sum_pool, x, window, stride, padding, dilation, ceil_mode)


def lp_pool(
    x: Float[Array, "... channels"],
    p: Number,
    window: Sequence[int],
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Float[Array, "... channels"]:
    """Keeps the p-norm of each window: a choice between its sum and its maximum.

        out[i, c] = (Σ x[i·s + u·d − p, c]ᵖ)^(1/p)

    with the letters and sizes of `max_pool`. At p = 1 it is `sum_pool`, at p = ∞ the
    largest |x|. Where the sum of powers is 0 the gradient is taken as 0; where it is
    negative, which takes an odd p or a fraction, there is no root: NaN.

    Args:
        x: Feature maps.
        p: The power, above 0 (PyTorch takes negative ones too).
        window: Places along each spatial axis.
        stride: Places from one window to the next; the window's own size by default.
        padding: Zeros added around `x`, at most half of what the window spans.
        dilation: Places from one tap to the next.
        ceil_mode: Whether a window that hangs over the far edge counts. It sums what it
            sees, where PyTorch scales that up to a whole window.

    Returns:
        Smaller feature maps, as many as before.

    Raises:
        TypeError: As `max_pool`, or if `p` is not a number.
        ValueError: As `max_pool`, or if `p` is not above 0.

    Example:
        >>> lp_pool(jnp.array([[3.0], [4.0], [6.0], [8.0]]), 2, (2,))[:, 0]
        Array([ 5., 10.], dtype=float32)

    Source:
        PyTorch, torch.nn.LPPool2d.
    """
    if not isinstance(p, int | float):
        raise TypeError(f"`p` is {p!r}, but must be a number.")
    if not p > 0:
        raise ValueError(f"`p` is {p}, but must be above 0.")

    def root_of_powers(x: Array, windows: Geometry) -> Array:
        if p == math.inf:
            return lowering.max_pool(jnp.abs(x), windows)
        total = lowering.sum_pool(lowering.promote_to_float32(x) ** p, windows)
        # The root is asked for 1 in place of 0, where its own slope is infinite.
        root = jnp.where(total == 0, 1, total) ** (1 / p)
        return jnp.where(total == 0, 0, root).astype(x.dtype)

    return _pool(root_of_powers, x, window, stride, padding, dilation, ceil_mode)


def adaptive_avg_pool(
    x: Float[Array, "... channels"], size: Sequence[int | None]
) -> Float[Array, "... channels"]:
    """Keeps the mean of each bin, with as many bins as asked for.

    An axis of n places is cut into m bins, which may share a place. Bin i holds the
    places from ⌊i·n / m⌋ up to, and without, ⌈(i + 1)·n / m⌉.

    Args:
        x: Feature maps.
        size: Bins along each spatial axis; None leaves an axis as it is.

    Returns:
        Feature maps of `size`, as many as before.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 entries, or `x` has too few axes
            or is not floating point.
        ValueError: If an entry of `size` is below 1, or `x` has no places to pool.

    Example:
        >>> adaptive_avg_pool(jnp.arange(5.0)[:, None], (2,))[:, 0]
        Array([1., 3.], dtype=float32)

    Source:
        PyTorch, torch.nn.AdaptiveAvgPool2d; the bins are those of
        aten/src/ATen/native/AdaptivePooling.h.
    """
    flat, batch, size = _adaptive(x, size)
    out = lowering.adaptive_avg_pool(flat, size)
    return out.reshape(*batch, *out.shape[1:])


def adaptive_max_pool(
    x: Float[Array, "... channels"],
    size: Sequence[int | None],
    *,
    return_indices: bool = False,
) -> PyTree[Shaped[Array, "... channels"]]:
    """Keeps the largest value of each bin, with as many bins as asked for.

    The bins are those of `adaptive_avg_pool`, ties and NaN as in `max_pool`.

    Args:
        x: Feature maps.
        size: Bins along each spatial axis; None leaves an axis as it is.
        return_indices: Whether to say where each maximum lay.

    Returns:
        Feature maps of `size`, as many as before. With `return_indices` a pair: the
        maps, and for each value its place in the spatial axes of `x` made flat.

    Raises:
        TypeError: As `adaptive_avg_pool`.
        ValueError: As `adaptive_avg_pool`.

    Example:
        >>> x = jnp.array([[3.0], [1.0], [4.0], [1.0], [5.0]])
        >>> values, indices = adaptive_max_pool(x, (2,), return_indices=True)
        >>> values[:, 0], indices[:, 0]
        (Array([4., 5.], dtype=float32), Array([2, 4], dtype=int32))

    Source:
        PyTorch, torch.nn.AdaptiveMaxPool2d.
    """
    flat, batch, size = _adaptive(x, size)
    found = lowering.adaptive_max_pool(flat, size)
    out, at = (part.reshape(*batch, *part.shape[1:]) for part in found)
    return (out, at) if return_indices else out


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
    x = _global(x, spatial)
    return jnp.mean(x, axis=tuple(range(-spatial - 1, -1)))


def global_max_pool(
    x: Float[Array, "... channels"], *, spatial: int = 2
) -> Float[Array, "... channels"]:
    """Keeps one number per feature map: its largest.

        out[c] = max x[i, c], over all places i

    Args:
        x: Feature maps.
        spatial: How many axes before the channels are searched.

    Returns:
        A list of features, the spatial axes gone. Ties and NaN as in `max_pool`.

    Raises:
        TypeError: As `global_avg_pool`.
        ValueError: As `global_avg_pool`.

    Example:
        >>> global_max_pool(jnp.arange(6.0).reshape(3, 1, 2))
        Array([4., 5.], dtype=float32)

    Source:
        Oquab, Bottou, Laptev & Sivic, "Is object localization for free?", 2015.
    """
    x = _global(x, spatial)
    return jnp.squeeze(
        adaptive_max_pool(x, (1,) * spatial), axis=tuple(range(-spatial - 1, -1))
    )


def max_unpool(
    x: Float[Array, "... channels"],
    indices: Int[Array, "... channels"],
    window: Sequence[int],
    *,
    stride: PerAxis | None = None,
    padding: PerAxis | Sequence[Sequence[int]] = 0,
    output_size: Sequence[int] | None = None,
) -> Float[Array, "... channels"]:
    """Puts each maximum back where it lay, and zeros everywhere else.

        out[indices[i, c], c] = x[i, c]

    where `indices` count through the spatial axes of `out`, made flat. Values that
    share an index, as windows that overlap may give them, are one and the same after
    `max_pool`; if they differ one of them is kept, and that one has the gradient
    (PyTorch hands it to all of them). A feature map with an index outside of `out`,
    which cannot be seen before the program runs, comes out as NaN throughout; PyTorch
    stops there.

    Args:
        x: Maxima, as `max_pool` gives them.
        indices: Where they lay, of the shape of `x`.
        window: The window that was pooled.
        stride: Places from one window to the next; the window's own size by default.
        padding: Places that were added around.
        output_size: The spatial axes to give back. By default (n − 1)·s − pads + k of
            each axis of n, which a pool that dropped places has left shorter than it
            was.

    Returns:
        Larger feature maps, as many as before.

    Raises:
        TypeError: If `indices` are not whole numbers, or as `max_pool`.
        ValueError: If `indices` are not of the shape of `x`, or an entry of
            `output_size` is a stride or more away from the default.

    Example:
        >>> x = jnp.array([[1.0], [3.0], [5.0], [4.0]])
        >>> max_unpool(*max_pool(x, (2,), return_indices=True), (2,))[:, 0]
        Array([0., 3., 5., 0.], dtype=float32)

    Source:
        PyTorch, torch.nn.MaxUnpool2d; Zeiler & Fergus, "Visualizing and Understanding
        Convolutional Networks", 2014, arXiv:1311.2901, section 2.1.
    """
    (x,) = floating(x=x)
    indices = jnp.asarray(indices)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(
            f"`indices` are {indices.dtype}, but must be whole numbers, as `max_pool` "
            "gives them with `return_indices=True`."
        )
    if indices.shape != x.shape:
        raise ValueError(
            f"`indices` have shape {indices.shape}, but `x` has {x.shape}: each value "
            "needs one."
        )
    window = sizes(window, "window")
    flat, batch = merge_batch_axes(x, len(window))
    size = _unpooled_size(flat.shape[1:-1], window, stride, padding, output_size)
    maps = lax.collapse(flat, 1, flat.ndim - 1)
    put = jax.vmap(partial(_put, size=math.prod(size)), in_axes=-1, out_axes=-1)
    out = jax.vmap(put)(maps, indices.reshape(maps.shape))
    return out.reshape(*batch, *size, x.shape[-1])


def _pool(
    pool: Callable[[Array, Geometry], Any],
    x: Array,
    window: Sequence[int],
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool,
) -> Any:
    """Runs `pool` on one batch axis and checked windows."""
    (x,) = floating(x=x)
    flat, batch = merge_batch_axes(x, len(sizes(window, "window")))
    out = pool(flat, _windows(flat, window, stride, padding, dilation, ceil_mode))
    return jax.tree.map(lambda part: part.reshape(*batch, *part.shape[1:]), out)


def _windows(
    x: Array,
    window: Sequence[int],
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool,
) -> Geometry:
    """Where the windows lie; what hangs over is added to the far pads."""
    axes = len(window)
    windows = Geometry(
        size=x.shape[1:-1],
        window=sizes(window, "window"),
        stride=per_axis(window if stride is None else stride, axes, "stride"),
        pads=(),
        dilation=per_axis(dilation, axes, "dilation"),
    )
    if ceil_mode and padding == "same":
        raise ValueError(
            '`padding` is "same", but `ceil_mode` is True, which would pad twice: '
            "choose one of the two."
        )
    windows = windows._replace(pads=as_pads(padding, windows))
    _check_pads(windows)
    if ceil_mode:
        windows = _hanging_over(windows)
    check_fit(windows)
    return windows


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
        starts = np.arange(windows.out_size[axis]) * windows.stride[axis]
        taps = np.arange(windows.window[axis]) * windows.dilation[axis]
        at = starts[:, None] + taps - windows.pads[axis][0]
        counts.append(((at >= -near) & (at < windows.size[axis] + far)).sum(axis=1))
    # A dilated window can miss a very short axis altogether; its sum, 0, is its mean.
    return np.maximum(math.prod(np.ix_(*counts, [1])), 1)  # pyright: ignore[reportReturnType]


def _adaptive(
    x: Array, size: Sequence[int | None]
) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    """`x` with one batch axis, its batch axes, and how many bins each axis has."""
    (x,) = floating(x=x)
    axes = len(axes_of(size, "size"))
    flat, batch = merge_batch_axes(x, axes)
    found = flat.shape[1:-1]
    if 0 in found:
        raise ValueError(
            f"`x` has shape {x.shape}, but 0 places along a spatial axis fill no bin."
        )
    bins = (n if m is None else m for n, m in zip(found, size, strict=True))
    return flat, batch, per_axis(tuple(bins), axes, "size")


def _global(x: Array, spatial: int) -> Array:
    """`x`, if it has `spatial` axes with something on them."""
    (x,) = floating(x=x)
    spatial_axes(x, spatial)
    if 0 in x.shape[-spatial - 1 : -1]:
        raise ValueError(
            f"`x` has shape {x.shape}, but 0 places along a spatial axis have neither "
            "mean nor maximum."
        )
    return x


def _unpooled_size(
    size: tuple[int, ...],
    window: tuple[int, ...],
    stride: PerAxis | None,
    padding: PerAxis | Sequence[Sequence[int]],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:
    """The default of `max_unpool`, or `output_size` if it is less than a stride off."""
    if isinstance(padding, str):
        raise ValueError(f"`padding` is {padding!r}, but must be numbers here.")
    axes = len(size)
    strides = per_axis(window if stride is None else stride, axes, "stride")
    pads = as_pads(padding, Geometry(size, window, strides, (), (1,) * axes))
    default = tuple(
        (n - 1) * s - sum(p) + k
        for n, s, p, k in zip(size, strides, pads, window, strict=True)
    )
    if output_size is None:
        if min(default) < 1:
            raise ValueError(
                f"`padding` is {padding}, which makes the default `output_size` "
                f"{default}: pad less, for at least 1 must stay."
            )
        return default
    wanted = per_axis(sizes(output_size, "output_size"), axes, "output_size")
    for n, usual, s in zip(wanted, default, strides, strict=True):
        if abs(n - usual) >= s:
            raise ValueError(
                f"`output_size` has {n}, but its default is {usual} and the stride "
                f"{s}: from {max(usual - s + 1, 1)} to {usual + s - 1} will do."
            )
    return wanted


def _put(values: Array, indices: Array, size: int) -> Array:
    """The values of one map at their positions among `size`; NaN if one has none."""
    out = jnp.zeros(size, values.dtype).at[indices].set(values, mode="drop")
    lost = ((indices < 0) | (indices >= size)).any()
    return jnp.where(lost, jnp.nan, out)
