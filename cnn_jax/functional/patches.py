"""Patches under a sliding window, and the sum of patches.

Arrays are channels-last, patches `(*batch, *out_size, *window, channels)`, one patch
per output position. Any number of leading batch axes is allowed, none included. No
gradient uses a scatter.
"""

from collections.abc import Sequence

from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.checks import (
    PerAxis,
    check_fit,
    floating,
    merge_batch_axes,
    per_axis,
    sizes,
)
from cnn_jax.functional.padding import Padding, as_pads
from cnn_jax.lowering import Geometry


def unfold(
    x: Float[Array, "... channels"],
    window: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
) -> Float[Array, "... channels"]:
    """Extracts the patch under the window at every output position.

    With stride s, dilation d and p zeros before each axis,

        out[i, u, c] = x[i·s + u·d − p, c]

    for the taps u of the window; the sizes are those of `conv`. A convolution is a
    matrix product with these patches: with k taps and C channels,
    `out.reshape(*out_size, k * C) @ kernel.reshape(k * C, out_channels)`.

    Args:
        x: Signals, images, volumes or feature maps.
        window: Number of taps along each spatial axis.
        stride: Distance between patches.
        padding: Zeros added around `x`, as in `conv`.
        dilation: Distance between taps.

    Returns:
        The patches, (*batch, *out_size, *window, channels).

    Raises:
        TypeError: If `window` is not a tuple of 1 to 3 numbers, or `x` has too few axes
            or is not floating point.
        ValueError: If the window is larger than `x` with its padding, or an option is
            out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> unfold(jnp.array([[1.0], [2.0], [3.0], [4.0]]), (3,))[..., 0]
        Array([[1., 2., 3.],
               [2., 3., 4.]], dtype=float32)

    Source:
        PyTorch, torch.nn.Unfold, whose rows are (channel, *window): these patches
        under `moveaxis(-1, -1 - len(window))`.
    """
    (x,) = floating(x=x)
    window = sizes(window, "window")
    flat, batch = merge_batch_axes(x, len(window))
    windows = _windows(flat.shape[1:-1], window, stride, padding, dilation)
    out = lowering.unfold(flat, windows)
    return out.reshape(*batch, *out.shape[1:])


def fold(
    patches: Float[Array, "... channels"],
    size: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
) -> Float[Array, "... channels"]:
    """Sums patches at the positions they come from: the transpose of `unfold`.

        out[j, c] = Σ patches[i, u, c],  over i·s + u·d − p = j

    `fold(unfold(x))` is `x` times the number of patches that contain each position.

    Args:
        patches: (*batch, *out_size, *window, channels).
        size: Spatial size of the result.
        stride: Distance between patches. This and the next two are those of the
            `unfold` that this transposes.
        padding: Zeros added around the input of `unfold`.
        dilation: Distance between taps.

    Returns:
        Signals, images or volumes of `size`.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 numbers, or `patches` has too few
            axes or is not floating point.
        ValueError: If the number of patches is not the one that `unfold` gives for
            this size, or an option is out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> fold(unfold(jnp.ones((5, 1)), (3,)), (5,))[:, 0]
        Array([1., 2., 3., 2., 1.], dtype=float32)

    Source:
        PyTorch, torch.nn.Fold.
    """
    (patches,) = floating(patches=patches)
    size = sizes(size, "size")
    axes = len(size)
    if patches.ndim < 2 * axes + 1:
        raise TypeError(
            f"`patches` has {patches.ndim} axes, but {axes} spatial axes need at least "
            f"{2 * axes + 1}: (*out_size, *window, channels)."
        )
    shape = patches.shape[-2 * axes - 1 : -1]
    out_size, window = shape[:axes], shape[axes:]
    windows = _windows(size, window, stride, padding, dilation)
    if out_size != windows.out_size:
        raise ValueError(
            f"`patches` has {out_size} patches, but a window of {window} gives "
            f"{windows.out_size} on a `size` of {size} with this stride, padding and "
            "dilation."
        )
    flat, batch = merge_batch_axes(patches, 2 * axes)
    out = lowering.fold(flat, windows)
    return out.reshape(*batch, *size, patches.shape[-1])


def _windows(
    size: tuple[int, ...],
    window: tuple[int, ...],
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
) -> Geometry:
    axes = len(window)
    windows = Geometry(
        size=size,
        window=per_axis(window, axes, "window"),
        stride=per_axis(stride, axes, "stride"),
        pads=(),
        dilation=per_axis(dilation, axes, "dilation"),
    )
    windows = windows._replace(pads=as_pads(padding, windows))
    check_fit(windows)
    return windows
