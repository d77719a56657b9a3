"""Convolution, transposed convolution and related operations.

Arrays are channels-last: `(*batch, *spatial, channels)`, with 1, 2 or 3 spatial axes
for signals, images and volumes, as many as the kernel's window has. Any number of
leading batch axes is allowed, none included.
"""

from typing import Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.checks import (
    PerAxis,
    as_precision,
    check_fit,
    check_size,
    floating,
    merge_batch_axes,
    per_axis,
    whole,
)
from cnn_jax.functional.padding import Padding, PaddingMode, as_pads, check_mode, pad
from cnn_jax.lowering import Geometry


def conv(
    x: Float[Array, "... in_channels"],
    kernel: Float[Array, "*window group_channels out_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "zeros",
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> Float[Array, "... out_channels"]:
    """Convolution of 1, 2 or 3 spatial axes.

    As usual in deep learning this is cross-correlation: the kernel is not flipped. With
    stride s, dilation d and p padding elements before each axis, summing over taps u
    and channels c,

        out[i, o] = bias[o] + Σ kernel[u, c, o] · x[i·s + u·d − p, c]

    where i and u run over 1, 2 or 3 axes, as many as `kernel` has before its last two.
    An axis of size n and k taps becomes ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1.

    Args:
        x: Signals, images, volumes or feature maps.
        kernel: The taps. `group_channels` is `in_channels / groups`.
        bias: Added to every position of its channel; no bias by default.
        stride: Distance between output positions, in elements of `x`.
        padding: Elements added around `x`: `"valid"` adds none; `"same"` gives an
            output size of ⌈n / s⌉ (PyTorch has it at stride 1 only); numbers give the
            padding, per axis or per side.
        dilation: Distance between taps, in elements of `x`.
        groups: Number of groups of channels that are convolved separately;
            `in_channels` groups make the convolution depthwise.
        padding_mode: Values of the padding elements; see `pad`.
        method: Implementation of the convolution and its gradients: `"auto"`, the
            fastest known one, or a name in `lowering.METHODS` that supports these
            shapes. Results agree to rounding.
        precision: Of the products in float32: None for JAX's default, a name such as
            `"highest"`, or a `jax.lax.Precision`. GPUs and TPUs round the factors
            below `"highest"`; CPUs do not.

    Returns:
        One feature map per kernel.

    Raises:
        TypeError: If `x` has fewer axes than the kernel's window and one for channels,
            or an array is not floating point or not of the dtype of `x`.
        ValueError: If the channels of `x` do not split into `groups` blocks of
            `group_channels`, or `out_channels` does not split into `groups`, or the
            window is larger than `x` with its padding, or an option is out of range.

    Example:
        >>> diagonal, box = jnp.eye(4)[..., None], jnp.ones((3, 3, 1, 1))
        >>> conv(diagonal, box)[..., 0]
        Array([[3., 2.],
               [2., 3.]], dtype=float32)

    Source:
        Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016,
        arXiv:1603.07285, relationships 6 and 15.
    """
    arrays = {"x": x, "kernel": kernel} | ({} if bias is None else {"bias": bias})
    x, kernel, *_ = floating(**arrays)
    axes = _window_axes(kernel)
    flat, batch = merge_batch_axes(x, axes)
    windows = Geometry(
        size=flat.shape[1:-1],
        window=kernel.shape[:-2],
        stride=per_axis(stride, axes, "stride"),
        pads=(),
        dilation=per_axis(dilation, axes, "dilation"),
        groups=whole(groups, "groups", minimum=1),
    )
    windows = windows._replace(pads=as_pads(padding, windows))
    _check_channels(x, kernel, bias, windows.groups)
    check_fit(windows)
    check_mode("padding_mode", padding_mode)
    if padding_mode != "zeros":
        flat = pad(flat, windows.pads, mode=padding_mode)
        windows = windows._replace(size=flat.shape[1:-1], pads=((0, 0),) * axes)
    _check_method(method, windows, flat.shape[-1])
    precision = as_precision(precision)

    out = lowering.conv(
        flat, kernel, geometry=windows, method=method, precision=precision
    )
    out = out.reshape(*batch, *out.shape[1:])
    return out if bias is None else out + jnp.broadcast_to(bias, out.shape)


def conv_transpose(
    x: Float[Array, "... in_channels"],
    kernel: Float[Array, "*window group_channels in_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> Float[Array, "... out_channels"]:
    """Transposed convolution: the transpose, or gradient, of `conv`.

    Every value of `x` is multiplied by the kernel and added to the positions of the
    output under the window,

        out[j, o] = bias[o] + Σ kernel[u, o, c] · x[i, c],  over i·s + u·d − p = j

    An axis of size n becomes (n − 1)·s − pads + d·(k − 1) + 1 + `output_padding`. This
    inverts the size of `conv`, but not its values.

    Args:
        x: Feature maps.
        kernel: The taps, in the layout of the `conv` of which this is the transpose:
            the input channels come last. `group_channels` is `out_channels / groups`.
        bias: Added to every position of its channel; no bias by default.
        stride: Distance between the windows of neighbouring values of `x`.
        padding: Elements cropped from the output: `"valid"` crops none; `"same"` gives
            an output size of n·s; numbers give the crop, per axis or per side.
        output_padding: Elements added at the end of each axis. It selects one of the
            sizes that `conv` maps to the same size.
        dilation: Distance between taps.
        groups: Number of groups of channels that are convolved separately.
        method: Implementation, as in `conv`.
        precision: Of the products in float32, as in `conv`.

    Returns:
        One feature map per channel of the output.

    Raises:
        TypeError: As `conv`.
        ValueError: If the channels of `x` are not those of the kernel or do not split
            into `groups`, the crop leaves nothing (PyTorch sometimes returns an empty
            array), `output_padding` is neither below the stride nor below the dilation,
            or an option is out of range.

    Example:
        >>> x, kernel = jnp.array([[1.0], [10.0]]), jnp.array([1.0, 2.0, 3.0])
        >>> conv_transpose(x, kernel[:, None, None], stride=2)[:, 0]
        Array([ 1.,  2., 13., 20., 30.], dtype=float32)

    Source:
        Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016,
        arXiv:1603.07285, relationship 14; PyTorch, torch.nn.ConvTranspose2d, whose
        weight is `kernel` under `permute(2, 3, 1, 0)`.
    """
    arrays = {"x": x, "kernel": kernel} | ({} if bias is None else {"bias": bias})
    x, kernel, *_ = floating(**arrays)
    axes = _window_axes(kernel)
    flat, batch = merge_batch_axes(x, axes)
    groups = whole(groups, "groups", minimum=1)
    _check_transposed_channels(x, kernel, bias, groups)
    windows = _transposed_geometry(
        in_size=flat.shape[1:-1],
        window=kernel.shape[:axes],
        stride=per_axis(stride, axes, "stride"),
        padding=padding,
        extra=per_axis(output_padding, axes, "output_padding", minimum=0),
        dilation=per_axis(dilation, axes, "dilation"),
    )._replace(groups=groups)
    _check_method(method, windows, kernel.shape[-2] * groups)
    precision = as_precision(precision)
    out = lowering.conv_transpose(
        flat, kernel, geometry=windows, method=method, precision=precision
    )
    out = out.reshape(*batch, *out.shape[1:])
    return out if bias is None else out + jnp.broadcast_to(bias, out.shape)


def separable_conv(
    x: Float[Array, "... in_channels"],
    depthwise: Float[Array, "*window 1 middle_channels"],
    pointwise: Float[Array, "*ones middle_channels out_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
    padding_mode: PaddingMode = "zeros",
    method: str = "auto",
    precision: lax.PrecisionLike = None,
) -> Float[Array, "... out_channels"]:
    """Depthwise separable convolution: a depthwise, then a pointwise convolution.

    With k taps, C input channels and O output channels it needs k·C + C·O products per
    position, where `conv` needs k·C·O:

        out = conv(conv(x, depthwise, groups=C), pointwise, bias)

    Args:
        x: Signals, images, volumes or feature maps.
        depthwise: The taps of each channel, one or more filters per channel.
        pointwise: A kernel with a window of one tap, which mixes the channels.
        bias: Added to every position of its channel; no bias by default.
        stride: Stride of the depthwise convolution, to which the next three apply too.
        padding: Elements added around `x`, as in `conv`.
        dilation: Distance between taps.
        padding_mode: Values of the padding elements.
        method: Implementation of both convolutions, as in `conv`; it must support both.
        precision: Of the products in float32 of both convolutions, as in `conv`.

    Returns:
        One feature map per channel of `pointwise`.

    Raises:
        TypeError: As `conv`, or if the two kernels differ in their number of axes.
        ValueError: As `conv`, or if `depthwise` is not depthwise for `x`, or
            `pointwise` does not have a window of 1 and the channels of `depthwise`.

    Example:
        >>> x, taps = jnp.array([[1.0, 10.0], [2.0, 20.0]]), jnp.ones((2, 1, 2))
        >>> separable_conv(x, taps, jnp.ones((1, 2, 1)))
        Array([[33.]], dtype=float32)

    Source:
        Howard et al., "MobileNets", 2017, arXiv:1704.04861, section 3.1.
    """
    x, depthwise, pointwise = floating(x=x, depthwise=depthwise, pointwise=pointwise)
    channels = x.shape[-1] if x.ndim else 0
    _check_separable(channels, depthwise, pointwise)
    maps = conv(
        x,
        depthwise,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        padding_mode=padding_mode,
        method=method,
        precision=precision,
    )
    return conv(maps, pointwise, bias, method=method, precision=precision)


def convolve(
    x: Float[Array, "... in_channels"],
    kernel: Float[Array, "*window in_channels out_channels"],
    *,
    mode: Literal["full", "same", "valid"] = "full",
) -> Float[Array, "... out_channels"]:
    """Convolution as defined in mathematics, with the kernel flipped.

    Summing over taps u and channels c, with `x` zero outside of its range,

        out[i, o] = Σ kernel[u, c, o] · x[i − u, c]

    This is `conv` with the kernel flipped along each spatial axis.

    Args:
        x: Signals, images or volumes.
        kernel: The taps.
        mode: Output positions, for n values and k taps: `"full"` all n + k − 1 with any
            overlap; `"same"` the central n of those, from ⌊(k − 1) / 2⌋ on; `"valid"`
            the n − k + 1 with full overlap.

    Returns:
        One map per kernel.

    Raises:
        TypeError: As `conv`.
        ValueError: As `conv`, or if the mode is unknown.

    Example:
        >>> x, kernel = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 10.0])
        >>> convolve(x[:, None], kernel[:, None, None])[:, 0]
        Array([ 1., 12., 23., 30.], dtype=float32)

    Source:
        SciPy, scipy.signal.convolve, whose modes these are.
    """
    (kernel,) = floating(kernel=kernel)
    axes = _window_axes(kernel)
    pads = {
        "full": [(k - 1, k - 1) for k in kernel.shape[:axes]],
        "same": [(k // 2, (k - 1) // 2) for k in kernel.shape[:axes]],
        "valid": [(0, 0)] * axes,
    }
    if mode not in pads:
        raise ValueError(f"`mode` is {mode!r}, but must be one of {list(pads)}.")
    flipped = jnp.flip(kernel, axis=tuple(range(axes)))
    return conv(x, flipped, padding=pads[mode])


def match_feature(
    image: Float[Array, "..."], feature: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Matches a small image against every position of a larger one.

    The match at position i is the mean product of pixels over the N pixels of
    `feature`,

        out[i] = 1/N · Σ feature[u] · image[i + u]

    With pixels −1 and 1 it is 1 where all pixels agree, −1 where none agrees, and 5/9
    where two of nine disagree. The feature slides along all of its axes; along
    channels, where it is as long as the image, it has one position.

    Args:
        image: Images, with or without an axis for channels, and any number of leading
            batch axes.
        feature: A small image with as many axes as one image, at most three besides
            channels.

    Returns:
        The map of matches; an axis of n pixels becomes n − k + 1 under k pixels.

    Raises:
        TypeError: If `feature` has no axes or too many, or more than `image`.
        ValueError: If `feature` is larger than `image` along an axis.

    Example:
        >>> x = 2 * jnp.eye(4) - 1
        >>> match_feature(x, 2 * jnp.eye(3) - 1).round(2)
        Array([[ 1.  , -0.11],
               [-0.11,  1.  ]], dtype=float32)

    Source:
        Rohrer, "How Convolutional Neural Networks Work", 2016, "Convolution".
    """
    image, feature = floating(image=image, feature=feature)
    if not 0 < feature.ndim <= image.ndim:
        raise TypeError(
            f"`feature` has {feature.ndim} axes, but `image` has {image.ndim}: the "
            "feature needs at least one, and at most those of the image."
        )
    # A last axis with only one position of the feature is summed like channels.
    single = feature.ndim > 1 and feature.shape[-1] == image.shape[-1]
    if not single:
        image, feature = image[..., None], feature[..., None]
    match = conv(image, feature[..., None]) / feature.size
    return match if single else match[..., 0]


def _window_axes(kernel: Array) -> int:
    axes = kernel.ndim - 2
    if not 1 <= axes <= 3:
        raise TypeError(
            f"`kernel` has {kernel.ndim} axes, but needs 3, 4 or 5: "
            "(*window, in_channels / groups, out_channels)."
        )
    return axes


def _transposed_geometry(
    *,
    in_size: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    extra: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Geometry:
    """The geometry of the `conv` whose transpose has an input of `in_size`."""
    _check_output_padding(extra, stride, dilation, padding)
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    windows = Geometry((), window, stride, (), dilation)
    if padding == "same":
        size = tuple(n * s for n, s in zip(in_size, stride, strict=True))
        pads = as_pads("same", windows._replace(size=size))
    else:
        pads = as_pads(padding, windows._replace(size=in_size))
        size = tuple(
            (n - 1) * s - sum(p) + span + more
            for n, s, p, span, more in zip(
                in_size, stride, pads, spans, extra, strict=True
            )
        )
    for axis, n in enumerate(size):
        if n < 1:
            raise ValueError(
                f"`padding` crops {sum(pads[axis])} elements from spatial axis {axis}, "
                f"which leaves {n}: use less padding, so that at least 1 remains."
            )
    check_size("stride` or `dilation", size)
    # The far pad is reduced by what the stride drops, so that `in_size` windows fit.
    pads = tuple(
        (near, (m - 1) * s + span - n - near)
        for (near, _), m, s, span, n in zip(
            pads, in_size, stride, spans, size, strict=True
        )
    )
    return windows._replace(size=size, pads=pads)


def _check_output_padding(
    extra: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Padding,
) -> None:
    for added, s, d in zip(extra, stride, dilation, strict=True):
        if added >= max(s, d):
            raise ValueError(
                f"`output_padding` is {added}, but must be below the stride, {s}, or "
                f"the dilation, {d}."
            )
    if any(extra) and padding == "same":
        raise ValueError(
            f'`output_padding` is {extra}, but `padding="same"` fixes the size: choose '
            "one of the two."
        )


def _check_channels(x: Array, kernel: Array, bias: Array | None, groups: int) -> None:
    *_, group_channels, out_channels = kernel.shape
    if x.shape[-1] != groups * group_channels:
        raise ValueError(
            f"`x` has {x.shape[-1]} channels, but `kernel` reads {group_channels} in "
            f"each of {groups} group(s), so it needs {groups * group_channels}."
        )
    if out_channels % groups:
        raise ValueError(
            f"`kernel` makes {out_channels} channels, which {groups} groups cannot "
            "share equally: use a number of groups that divides the channels."
        )
    _check_bias(bias, out_channels)


def _check_transposed_channels(
    x: Array, kernel: Array, bias: Array | None, groups: int
) -> None:
    *_, group_channels, in_channels = kernel.shape
    if x.shape[-1] != in_channels:
        raise ValueError(
            f"`x` has {x.shape[-1]} channels, but `kernel` ends in {in_channels}: its "
            "axes are (*window, out_channels / groups, in_channels)."
        )
    if in_channels % groups:
        raise ValueError(
            f"`x` has {in_channels} channels, which {groups} groups cannot share "
            "equally: use a number of groups that divides the channels."
        )
    _check_bias(bias, groups * group_channels)


def _check_separable(channels: int, depthwise: Array, pointwise: Array) -> None:
    axes = _window_axes(depthwise)
    if pointwise.ndim != depthwise.ndim:
        raise TypeError(
            f"`pointwise` has {pointwise.ndim} axes, but `depthwise` has "
            f"{depthwise.ndim}: both need the same number."
        )
    *_, reads, middle = depthwise.shape
    if reads != 1 or channels == 0 or middle % channels:
        raise ValueError(
            f"`depthwise` ends in {(reads, middle)}, but `x` has {channels} channels, "
            f"so it needs 1 and a multiple of {channels}."
        )
    if pointwise.shape[:-1] != (*(1,) * axes, middle):
        raise ValueError(
            f"`pointwise` has shape {pointwise.shape}, but `depthwise` makes {middle} "
            f"channels, so it needs {(*(1,) * axes, middle)} and the output channels."
        )


def _check_bias(bias: Array | None, out_channels: int) -> None:
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(
            f"`bias` has shape {bias.shape}, but `kernel` makes {out_channels} "
            f"channels, so it needs ({out_channels},)."
        )


def _check_method(method: str, windows: Geometry, channels: int) -> None:
    known = ["auto", *lowering.METHODS]
    supported = lowering.can(windows, channels)
    if method not in known:
        raise ValueError(f"`method` is {method!r}, but must be one of {known}.")
    if method not in ["auto", *supported]:
        raise ValueError(
            f"`method` is {method!r}, which does not support a convolution of "
            f"{channels} channels in {windows.groups} groups with window "
            f"{windows.window}, stride {windows.stride}, dilation {windows.dilation} "
            f'and padding {windows.pads}: use one of {supported}, or "auto".'
        )
