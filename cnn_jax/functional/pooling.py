"""Pooling: maximum, mean, sum or p-norm of each window.

Arrays are channels-last: `(*batch, *spatial, channels)`, with as many spatial axes as
`window` has entries. Any number of leading batch axes is allowed, none included. The
number of channels is unchanged. No gradient uses a scatter, so gradients are
deterministic.
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
    check_size,
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
    """Maximum of each window.

    With stride s, dilation d and p padding elements before each axis, over the taps u
    of `window`,

        out[i, c] = max x[i·s + u·d − p, c]

    where padding counts as −∞. The first of equal values in row-major order receives
    the gradient; a NaN in the window is its maximum. An axis of size n becomes
    ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1, or ⌈…⌉ + 1 with `ceil_mode`, where windows may
    extend beyond the padding at the end, but must start on `x` or the padding before.

    Args:
        x: Feature maps.
        window: Size of the window along each spatial axis.
        stride: Distance between windows; the size of the window by default.
        padding: Elements added around `x`, at most half of the dilated window (in
            PyTorch, for volumes, half of its taps).
        dilation: Distance between taps.
        ceil_mode: Whether windows that extend beyond the end count.
        return_indices: Whether to return the index of each maximum, for `max_unpool`.

    Returns:
        Feature maps with as many channels. With `return_indices` a pair: the maps, and
        for each value its int32 index in the flattened spatial axes of `x`.

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
    """Mean of each window.

        out[i, c] = 1/N[i] · Σ x[i·s + u·d − p, c]

    with the symbols and sizes of `max_pool`. N is the number of taps on `x` and its
    padding, or on `x` only; taps beyond the padding, with `ceil_mode`, do not count.
    (PyTorch refuses a volume that is smaller than the window before padding.)

    Args:
        x: Feature maps.
        window: Size of the window along each spatial axis.
        stride: Distance between windows; the size of the window by default.
        padding: Zeros added around `x`, at most half of the dilated window.
        dilation: Distance between taps.
        ceil_mode: Whether windows that extend beyond the end count.
        count_include_pad: Whether padding zeros count in N.

    Returns:
        Feature maps with as many channels.

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
    """Sum of each window.

        out[i, c] = Σ x[i·s + u·d − p, c]

    with the symbols and sizes of `max_pool`.

    Args:
        x: Feature maps.
        window: Size of the window along each spatial axis.
        stride: Distance between windows; the size of the window by default.
        padding: Zeros added around `x`, at most half of the dilated window.
        dilation: Distance between taps.
        ceil_mode: Whether windows that extend beyond the end count.

    Returns:
        Feature maps with as many channels.

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
    """p-norm of each window, between its sum and its maximum.

        out[i, c] = (Σ x[i·s + u·d − p, c]ᵖ)^(1/p)

    with the symbols and sizes of `max_pool`. At p = 1 it is `sum_pool`, at p = ∞ the
    largest |x|. Where the sum of powers is 0 the gradient is defined as 0; where it is
    negative, which needs an odd or fractional p, the result is NaN.

    Args:
        x: Feature maps.
        p: The power, above 0 (PyTorch takes negative ones too).
        window: Size of the window along each spatial axis.
        stride: Distance between windows; the size of the window by default.
        padding: Zeros added around `x`, at most half of the dilated window.
        dilation: Distance between taps.
        ceil_mode: Whether windows that extend beyond the end count. They sum the values
            they contain; PyTorch scales that sum to a whole window.

    Returns:
        Feature maps with as many channels.

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
        # The root is taken of 1 where the total is 0: its derivative at 0 is infinite.
        root = jnp.where(total == 0, 1, total) ** (1 / p)
        return jnp.where(total == 0, 0, root).astype(x.dtype)

    return _pool(root_of_powers, x, window, stride, padding, dilation, ceil_mode)


def adaptive_avg_pool(
    x: Float[Array, "... channels"], size: Sequence[int | None]
) -> Float[Array, "... channels"]:
    """Mean of each of a given number of bins.

    An axis of size n is divided into m bins, which may overlap by one position. Bin i
    holds the positions from ⌊i·n / m⌋ to ⌈(i + 1)·n / m⌉ − 1.

    Args:
        x: Feature maps.
        size: Number of bins along each spatial axis; None keeps the size of an axis.

    Returns:
        Feature maps of `size`, with as many channels.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 entries, or `x` has too few axes
            or is not floating point.
        ValueError: If an entry of `size` is below 1, or a spatial axis of `x` is empty.

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
    """Maximum of each of a given number of bins.

    The bins are those of `adaptive_avg_pool`, ties and NaN as in `max_pool`.

    Args:
        x: Feature maps.
        size: Number of bins along each spatial axis; None keeps the size of an axis.
        return_indices: Whether to return the index of each maximum.

    Returns:
        Feature maps of `size`, with as many channels. With `return_indices` a pair: the
        maps, and for each value its int32 index in the flattened spatial axes of `x`.

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
    pair = lowering.adaptive_max_pool(flat, size)
    out, indices = (part.reshape(*batch, *part.shape[1:]) for part in pair)
    return (out, indices) if return_indices else out


def global_avg_pool(
    x: Float[Array, "... channels"], *, spatial: int = 2
) -> Float[Array, "... channels"]:
    """Mean of each feature map.

        out[c] = 1/N · Σ x[i, c], over all N positions i

    Args:
        x: Feature maps.
        spatial: Number of spatial axes, 1 to 3.

    Returns:
        The means, (*batch, channels).

    Raises:
        TypeError: If `x` has fewer than `spatial` axes and one for channels, or is not
            floating point.
        ValueError: If `spatial` is not 1, 2 or 3, or a spatial axis is empty.

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
    """Maximum of each feature map.

        out[c] = max x[i, c], over all positions i

    Args:
        x: Feature maps.
        spatial: Number of spatial axes, 1 to 3.

    Returns:
        The maxima, (*batch, channels). Ties and NaN are as in `max_pool`.

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
    """Partial inverse of `max_pool`: maxima at their positions, zeros elsewhere.

        out[indices[i, c], c] = x[i, c]

    where `indices` refer to the flattened spatial axes of `out`. Values with the same
    index, as overlapping windows may give them, are equal after `max_pool`; if they
    differ, one of them is kept and receives the gradient (in PyTorch all of them do).
    Indices are known only when the program runs: a feature map with an index outside
    of `out` becomes NaN, where PyTorch raises an error.

    Args:
        x: Maxima, as `max_pool` returns them.
        indices: Their indices, of the shape of `x`.
        window: Window of the pooling.
        stride: Distance between windows; the size of the window by default.
        padding: Padding of the pooling.
        output_size: Spatial size of the result. The default is (n − 1)·s − pads + k for
            an axis of size n, which is smaller than the input of the pooling if the
            pooling dropped positions at the end.

    Returns:
        Feature maps of `output_size`, with as many channels.

    Raises:
        TypeError: As `max_pool`, or if `indices` are not whole numbers.
        ValueError: If `indices` do not have the shape of `x`, or an entry of
            `output_size` differs from the default by a stride or more.

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
            "returns them with `return_indices=True`."
        )
    if indices.shape != x.shape:
        raise ValueError(
            f"`indices` have shape {indices.shape}, but `x` has {x.shape}: each value "
            "needs an index."
        )
    window = sizes(window, "window")
    flat, batch = merge_batch_axes(x, len(window))
    size = _unpooled_size(flat.shape[1:-1], window, stride, padding, output_size)
    maps = lax.collapse(flat, 1, flat.ndim - 1)
    write = partial(_at_indices, size=math.prod(size))
    write = jax.vmap(write, in_axes=-1, out_axes=-1)
    out = jax.vmap(write)(maps, indices.reshape(maps.shape))
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
    """The geometry; `ceil_mode` enlarges the padding at the end."""
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
            '`padding` is "same", but `ceil_mode` is True, which pads too: use one of '
            "the two."
        )
    windows = windows._replace(pads=as_pads(padding, windows))
    _check_pads(windows)
    if ceil_mode:
        windows = _ceil_mode_geometry(windows)
    check_fit(windows)
    return windows


def _ceil_mode_geometry(windows: Geometry) -> Geometry:
    pads = []
    for axis, (near, far) in enumerate(windows.pads):
        n, s = windows.size[axis], windows.stride[axis]
        span = windows.dilation[axis] * (windows.window[axis] - 1) + 1
        out_size = -(-(n + near + far - span) // s) + 1
        if (out_size - 1) * s >= n + near:  # It would start in the padding.
            out_size -= 1
        pads.append((near, max(far, (out_size - 1) * s + span - n - near)))
    return windows._replace(pads=tuple(pads))


def _check_pads(windows: Geometry) -> None:
    for axis, sides in enumerate(windows.pads):
        span = windows.dilation[axis] * (windows.window[axis] - 1) + 1
        if 2 * max(sides) > span:
            raise ValueError(
                f"`padding` adds {max(sides)} elements to a side, but the window spans "
                f"{span} along spatial axis {axis}: use at most half, {span // 2}."
            )


def _counts(windows: Geometry, pads: Sequence[tuple[int, int]]) -> np.ndarray:
    """The number of taps of each window on the array and these pads."""
    counts = []
    for axis, (near, far) in enumerate(pads):
        starts = np.arange(windows.out_size[axis]) * windows.stride[axis]
        taps = np.arange(windows.window[axis]) * windows.dilation[axis]
        position = starts[:, None] + taps - windows.pads[axis][0]
        inside = (position >= -near) & (position < windows.size[axis] + far)
        counts.append(inside.sum(axis=1))
    # All taps of a dilated window can miss a short axis; the mean is then the sum, 0.
    return np.maximum(math.prod(np.ix_(*counts, [1])), 1)  # pyright: ignore[reportReturnType]


def _adaptive(
    x: Array, size: Sequence[int | None]
) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    """`x` with one batch axis, its batch axes, and the number of bins per axis."""
    (x,) = floating(x=x)
    axes = len(axes_of(size, "size"))
    flat, batch = merge_batch_axes(x, axes)
    in_size = flat.shape[1:-1]
    if 0 in in_size:
        raise ValueError(f"`x` has shape {x.shape}: an empty axis cannot be pooled.")
    bins = (n if m is None else m for n, m in zip(in_size, size, strict=True))
    bins = per_axis(tuple(bins), axes, "size")
    check_size("size", bins)
    return flat, batch, bins


def _global(x: Array, spatial: int) -> Array:
    """`x` as an array with `spatial` axes that are not empty."""
    (x,) = floating(x=x)
    spatial_axes(x, spatial)
    if 0 in x.shape[-spatial - 1 : -1]:
        raise ValueError(f"`x` has shape {x.shape}: an empty axis cannot be pooled.")
    return x


def _unpooled_size(
    size: tuple[int, ...],
    window: tuple[int, ...],
    stride: PerAxis | None,
    padding: PerAxis | Sequence[Sequence[int]],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:
    """`output_size`, checked to be within a stride of its default, or the default."""
    if isinstance(padding, str):
        raise ValueError(f"`padding` is {padding!r}, but must be numbers here.")
    axes = len(size)
    strides = per_axis(window if stride is None else stride, axes, "stride")
    pads = as_pads(padding, Geometry(size, window, strides, (), (1,) * axes))
    default = tuple(
        (n - 1) * s - sum(p) + k
        for n, s, p, k in zip(size, strides, pads, window, strict=True)
    )
    check_size("stride", default)
    if output_size is None:
        if min(default) < 1:
            raise ValueError(
                f"`padding` is {padding}, which makes the default `output_size` "
                f"{default}: use less padding, so that at least 1 remains."
            )
        return default
    size = per_axis(sizes(output_size, "output_size"), axes, "output_size")
    for n, usual, s in zip(size, default, strides, strict=True):
        if abs(n - usual) >= s:
            raise ValueError(
                f"`output_size` has {n}, but its default is {usual} and the stride "
                f"{s}: use {max(usual - s + 1, 1)} to {usual + s - 1}."
            )
    return size


def _at_indices(values: Array, indices: Array, size: int) -> Array:
    """One map of `size` with the values at their indices; NaN if one is outside."""
    out = jnp.zeros(size, values.dtype).at[indices].set(values, mode="drop")
    outside = ((indices < 0) | (indices >= size)).any()
    return jnp.where(outside, jnp.nan, out)
