"""Patches out of an array, and their sum back.

Arrays are channels-last, patches `(*batch, *places, *window, channels)`: at each place
what a window sees from there. Any number of leading batch axes is allowed, none
included. No gradient scatters.
"""

from collections.abc import Sequence

from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.checks import (
    PerAxis,
    check_fit,
    floating,
    one_batch,
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
    """Takes out the patch under the window at every place.

    With stride s, dilation d and p zeros before each axis,

        out[i, u, c] = x[i·s + u·d − p, c]

    for the taps u of the window; the sizes are those of `conv`. A convolution is one
    product with these patches: with k taps and C channels it multiplies
    `out.reshape(*places, k * C)` by `kernel.reshape(k * C, out_channels)`.

    Args:
        x: Signals, pictures or volumes, or feature maps.
        window: Taps along each spatial axis.
        stride: Places from one patch to the next.
        padding: Zeros added around `x`, as in `conv`.
        dilation: Places from one tap to the next.

    Returns:
        The patches, (*batch, *places, *window, channels).

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
        PyTorch, torch.nn.Unfold, whose rows (channel, *window) these are under
        `moveaxis(-1, -1 - len(window))`.
    """
    (x,) = floating(x=x)
    window = sizes(window, "window")
    flat, batch = one_batch(x, len(window))
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
    """Adds every patch up where `unfold` took it from: the transpose of `unfold`.

        out[j, c] = Σ patches[i, u, c],  over i·s + u·d − p = j

    `fold(unfold(x))` is `x` times the number of patches in which each place occurs.

    Args:
        patches: (*batch, *places, *window, channels).
        size: The spatial axes to give back.
        stride: Places from one patch to the next, as are the two that follow those of
            the `unfold` that this transposes.
        padding: Zeros that were added around.
        dilation: Places from one tap to the next.

    Returns:
        Signals, pictures or volumes of `size`.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 numbers, or `patches` has too few
            axes or is not floating point.
        ValueError: If the places of `patches` are not those that `unfold` gives for
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
            f"{2 * axes + 1}: (*places, *window, channels)."
        )
    *places, channels = patches.shape[-2 * axes - 1 :]
    places, window = tuple(places[:axes]), tuple(places[axes:])
    windows = _windows(size, window, stride, padding, dilation)
    if places != windows.out_size:
        raise ValueError(
            f"`patches` has {places} places, but windows of {window} have "
            f"{windows.out_size} on a `size` of {size} with this stride, padding and "
            "dilation."
        )
    flat, batch = one_batch(patches, 2 * axes)
    out = lowering.fold(flat, windows)
    return out.reshape(*batch, *size, channels)


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
