"""Convolution: the same small dot product, taken at every place.

Arrays are channels-last: `(*batch, *spatial, channels)`, with 1, 2 or 3 spatial axes
for signals, pictures and volumes, as many as the kernel's window has. Any number of
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
    floating,
    one_batch,
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
    """Slides `kernel` over `x`, taking one dot product per place and kernel.

    Deep learning's convolution is cross-correlation: the kernel is not flipped. With
    stride s, dilation d and p places before each axis, summing over taps u and channels
    c,

        out[i, o] = bias[o] + Σ kernel[u, c, o] · x[i·s + u·d − p, c]

    where i and u run over 1, 2 or 3 axes, as many as `kernel` has besides its last two.
    An axis of n places under k taps leaves ⌊(n + pads − d·(k − 1) − 1) / s⌋ + 1.

    Args:
        x: Signals, pictures or volumes, or the feature maps of an earlier layer.
        kernel: The taps. `group_channels` is `in_channels / groups`.
        bias: Added to every place of its channel.
        stride: Places from one dot product to the next.
        padding: Places added around `x`: `"valid"` adds none, `"same"` leaves ⌈n / s⌉
            of n places (PyTorch has it at stride 1 alone), numbers say how many, per
            axis or per side.
        dilation: Places from one tap to the next.
        groups: Blocks of channels that do not see each other; `in_channels` of them
            make the convolution depthwise.
        padding_mode: What stands in the added places; see `pad`.
        method: Which formulation computes it and its gradients: `"auto"`, the quickest
            known, or one of `lowering.METHODS` that can do it; all agree to rounding.
        precision: Of the products in float32: None for JAX's default, a name such as
            `"highest"`, or a `jax.lax.Precision`. GPUs and TPUs round the factors
            below `"highest"`; CPUs do not.

    Returns:
        One feature map per kernel.

    Raises:
        TypeError: If `x` has fewer axes than the kernel's window and one for channels,
            or an array is not floating point, or of another dtype than `x`.
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
    flat, batch = one_batch(x, axes)
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
    """Spreads every value of `x` over a window: the transpose of `conv`.

    Where `conv` with this kernel, stride and dilation adds up what a window sees, its
    transpose, which is its gradient, hands each sum back to all places of the window,

        out[j, o] = bias[o] + Σ kernel[u, o, c] · x[i, c],  over i·s + u·d − p = j

    An axis of n places becomes (n − 1)·s − pads + d·(k − 1) + 1 + `output_padding`. The
    sizes invert those of `conv`, the values do not.

    Args:
        x: What is spread: feature maps of a layer that made things smaller.
        kernel: The taps, in the layout of the `conv` whose transpose this is: its
            output is the input here. `group_channels` is `out_channels / groups`.
        bias: Added to every place of its channel.
        stride: Places from where one value is spread to where the next one is.
        padding: Places that are cropped off: `"valid"` crops none, `"same"` leaves s
            places per place of `x`, numbers say how many, per axis or per side.
        output_padding: Places added at the far end of each axis, for `conv` with a
            stride gives several sizes the same one.
        dilation: Places from one tap to the next.
        groups: Blocks of channels that do not see each other.
        method: Which formulation computes it, as in `conv`.
        precision: Of the products in float32, as in `conv`.

    Returns:
        One feature map per channel of the output.

    Raises:
        TypeError: As `conv`.
        ValueError: If the channels of `x` are not those of the kernel, or do not split
            into `groups`, if nothing is left after the crop (where PyTorch sometimes
            gives an empty array), if `output_padding` is
            neither below the stride nor below the dilation, or an option is out of
            range.

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
    flat, batch = one_batch(x, axes)
    groups = whole(groups, "groups", minimum=1)
    _check_transposed_channels(x, kernel, bias, groups)
    windows = _spread(
        places=flat.shape[1:-1],
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
    """Filters every channel by itself, then mixes the channels place by place.

    With window k, C channels in and O out it takes k·C + C·O products per place in
    place of the k·C·O of `conv`:

        out = conv(conv(x, depthwise, groups=C), pointwise, bias)

    Args:
        x: Signals, pictures or volumes, or feature maps.
        depthwise: The taps of each channel; a whole number of filters per channel.
        pointwise: A kernel with a window of one place, which mixes what they found.
        bias: Added to every place of its channel.
        stride: Of the depthwise convolution, as are the three that follow.
        padding: Places added around `x`.
        dilation: Places from one tap to the next.
        padding_mode: What stands in the added places.
        method: Which formulation computes both, as in `conv`; one that can do both.
        precision: Of the products in float32, of both, as in `conv`.

    Returns:
        One feature map per channel of `pointwise`.

    Raises:
        TypeError: As `conv`, or if the two kernels have not as many axes.
        ValueError: As `conv`, or if `depthwise` does not filter each channel by itself,
            or `pointwise` is not of one place and of what `depthwise` makes.

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
    """Convolves as mathematics does: with the kernel flipped.

    Summing over taps u and channels c, with everything outside `x` zero,

        out[i, o] = Σ kernel[u, c, o] · x[i − u, c]

    which is `conv` with the kernel turned round on each spatial axis.

    Args:
        x: Signals, pictures or volumes.
        kernel: What is rolled over them.
        mode: Which i are returned, where n is the size of `x` and k that of the window:
            `"full"` all n + k − 1 with any overlap; `"same"` the n in the middle of
            those, from ⌊(k − 1) / 2⌋ on; `"valid"` the n − k + 1 with full overlap.

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
    """Tries a small picture at every place of a larger one.

    The match at place i is the mean of pixel times pixel over the N pixels of
    `feature`,

        out[i] = 1/N · Σ feature[u] · image[i + u]

    With pixels −1 and 1 it is 1 where all agree, −1 where none does, and 5/9 where two
    of nine disagree. The feature slides along every axis it has; along channels, where
    it is as long as the image, it has one place.

    Args:
        image: Images, with or without an axis for channels, and any number of leading
            batch axes.
        feature: A mini-image with as many axes as one picture, three at most besides
            channels.

    Returns:
        The map of matches, an axis of n pixels under k leaving n − k + 1.

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
            "feature needs one at least, and no more than the image."
        )
    # An axis on which the feature fits in one place only is summed like channels.
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


def _spread(
    *,
    places: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    extra: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Geometry:
    """The `conv` whose transpose takes `places` to its size."""
    _check_output_padding(extra, stride, dilation, padding)
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    windows = Geometry((), window, stride, (), dilation)
    if padding == "same":
        size = tuple(n * s for n, s in zip(places, stride, strict=True))
        pads = as_pads("same", windows._replace(size=size))
    else:
        pads = as_pads(padding, windows._replace(size=places))
        size = tuple(
            (n - 1) * s - sum(p) + span + more
            for n, s, p, span, more in zip(
                places, stride, pads, spans, extra, strict=True
            )
        )
    for axis, n in enumerate(size):
        if n < 1:
            raise ValueError(
                f"`padding` crops {sum(pads[axis])} places off spatial axis {axis}, "
                f"which leaves {n}: at least 1 must stay."
            )
    # The far pad is cut by what the stride drops, so that just `places` windows fit.
    pads = tuple(
        (near, (m - 1) * s + span - n - near)
        for (near, _), m, s, span, n in zip(
            pads, places, stride, spans, size, strict=True
        )
    )
    return windows._replace(size=size, pads=pads)


def _check_output_padding(
    extra: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Padding,
) -> None:
    for most, s, d in zip(extra, stride, dilation, strict=True):
        if most >= max(s, d):
            raise ValueError(
                f"`output_padding` is {most}, but must be below the stride, {s}, or "
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
            f"`kernel` makes {out_channels} channels, which {groups} groups "
            "cannot share equally."
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
            "equally."
        )
    _check_bias(bias, groups * group_channels)


def _check_separable(channels: int, depthwise: Array, pointwise: Array) -> None:
    axes = _window_axes(depthwise)
    if pointwise.ndim != depthwise.ndim:
        raise TypeError(
            f"`pointwise` has {pointwise.ndim} axes, but `depthwise` has "
            f"{depthwise.ndim}: both need as many."
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
            f"channels, so it needs {(*(1,) * axes, middle)} and the new channels."
        )


def _check_bias(bias: Array | None, out_channels: int) -> None:
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(
            f"`bias` has shape {bias.shape}, but `kernel` makes {out_channels} "
            f"channels, so it needs ({out_channels},)."
        )


def _check_method(method: str, windows: Geometry, channels: int) -> None:
    known, able = ["auto", *lowering.METHODS], lowering.can(windows, channels)
    if method not in known:
        raise ValueError(f"`method` is {method!r}, but must be one of {known}.")
    if method not in ["auto", *able]:
        raise ValueError(
            f"`method` is {method!r}, which cannot do a convolution of {channels} "
            f"channels in {windows.groups} groups under the window {windows.window} "
            f"at stride {windows.stride} and dilation {windows.dilation} with the pads "
            f'{windows.pads}; those that can are {able}, and "auto" picks among them.'
        )
