"""Normalization of feature maps.

Arrays are channels-last, with any number of leading batch axes. Statistics are computed
in float32 or wider; the result has the dtype of `x`. With mean μ and variance σ² over
some of the axes, a normalization is

    out = scale · (x − μ) / √(σ² + ε) + bias

and the functions differ only in these axes.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree, Shaped

from cnn_jax.functional.checks import Number, floating, spatial_axes, whole
from cnn_jax.lowering import channel_dot, promote_to_float32


def batch_norm(
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    mean: Float[Array, " channels"] | None = None,
    variance: Float[Array, " channels"] | None = None,
    epsilon: Number = 1e-5,
    return_statistics: bool = False,
) -> PyTree[Shaped[Array, "..."]]:
    """Normalizes every channel by batch statistics or by given statistics.

    Without `mean` and `variance`, the statistics are those of `x` over all axes but the
    last, and gradients flow through them. The variance divides by the number of values,
    as in training mode in PyTorch.

    Args:
        x: Feature maps of a batch.
        scale: Multiplies each channel; 1 by default.
        bias: Added to each channel; 0 by default.
        mean: Mean of each channel, for evaluation; given with `variance` or not at all.
        variance: Variance of each channel.
        epsilon: Added to the variance, so that the divisor is not 0.
        return_statistics: Whether to return the mean and the variance as well.

    Returns:
        Feature maps of the same shape. With `return_statistics` a triple: the maps, the
        mean and the variance, the last two in float32 or wider.

    Raises:
        TypeError: If an array is not floating point, or `x` has no axes.
        ValueError: If `scale`, `bias`, `mean` or `variance` does not have an entry per
            channel of `x`, only one of `mean` and `variance` is given, a channel has
            fewer than 2 values, or `epsilon` is negative.

    Example:
        >>> batch_norm(jnp.array([[1.0], [3.0]]), epsilon=0.0)[:, 0]
        Array([-1.,  1.], dtype=float32)

    Source:
        Ioffe & Szegedy, "Batch Normalization", 2015, arXiv:1502.03167, algorithm 1.
    """
    given = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
    (x,) = floating(x=x)
    if x.ndim == 0:
        raise TypeError("`x` has 0 axes, but needs at least 1, for channels.")
    _check_last(x, 1, given)
    _check_epsilon(epsilon)
    if (mean is None) != (variance is None):
        missing = "mean" if mean is None else "variance"
        raise ValueError(f"`{missing}` is None: give both statistics, or neither.")
    scale, bias = _affine(scale, bias, x.shape[-1:], promote_to_float32(x).dtype)
    if mean is None or variance is None:
        if x.size // max(x.shape[-1], 1) < 2:
            raise ValueError(
                f"`x` has shape {x.shape}, so a channel has "
                f"{x.size // max(x.shape[-1], 1)} value(s): statistics need at least 2."
            )
        out, mean, variance = _by_batch(promote_to_float32(x), scale, bias, epsilon)
    else:
        mean, variance = promote_to_float32(mean), promote_to_float32(variance)
        centred = promote_to_float32(x) - _broadcast_channels(mean, x)
        out = _scale_and_shift(centred, scale * lax.rsqrt(variance + epsilon), bias)
    out = out.astype(x.dtype)
    return (out, mean, variance) if return_statistics else out


def layer_norm(
    x: Float[Array, "..."],
    scale: Float[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    *,
    axes: int = 1,
    epsilon: Number = 1e-5,
) -> Float[Array, "..."]:
    """Normalizes every example over its last axes.

    Args:
        x: Values of any shape.
        scale: Multiplies the result, of the shape of the last axes; 1 by default.
        bias: Added to the result, of the shape of the last axes; 0 by default.
        axes: How many of the last axes share their statistics: 1 for the channels of
            each position, 3 for whole images.
        epsilon: Added to the variance, so that the divisor is not 0.

    Returns:
        Values of the same shape.

    Raises:
        TypeError: If an array is not floating point, or `x` has fewer axes than `axes`.
        ValueError: If `scale` or `bias` has another shape than the last axes, or
            `epsilon` is negative.

    Example:
        >>> layer_norm(jnp.array([[1.0, 3.0], [10.0, 30.0]])).round(3)
        Array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)

    Source:
        Ba, Kiros & Hinton, "Layer Normalization", 2016, arXiv:1607.06450, equation 3.
    """
    (x,) = floating(x=x)
    axes = whole(axes, "axes", minimum=1)
    if x.ndim < axes:
        raise TypeError(f"`x` has {x.ndim} axes, but `axes` asks for the last {axes}.")
    _check_epsilon(epsilon)
    _check_last(x, axes, {"scale": scale, "bias": bias})
    out = _standardized(promote_to_float32(x), tuple(range(-axes, 0)), epsilon)
    scale, bias = _affine(scale, bias, x.shape[-axes:], out.dtype)
    return _scale_and_shift(out, scale, bias).astype(x.dtype)


def group_norm(
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    groups: int,
    spatial: int = 2,
    epsilon: Number = 1e-5,
) -> Float[Array, "... channels"]:
    """Normalizes every example over its spatial axes and a group of its channels.

    Args:
        x: Feature maps.
        scale: Multiplies each channel; 1 by default.
        bias: Added to each channel; 0 by default.
        groups: Number of groups of consecutive channels.
        spatial: Number of spatial axes, which share their statistics.
        epsilon: Added to the variance, so that the divisor is not 0.

    Returns:
        Feature maps of the same shape.

    Raises:
        TypeError: If an array is not floating point, or `x` has fewer than `spatial`
            axes and one for channels.
        ValueError: If `groups` does not divide the channels, `scale` or `bias` does not
            have an entry per channel of `x`, or an option is out of range.

    Example:
        >>> x = jnp.array([[1.0, 3.0, 10.0, 30.0]])
        >>> group_norm(x, groups=2, spatial=1).round(3)
        Array([[-1.,  1., -1.,  1.]], dtype=float32)

    Source:
        Wu & He, "Group Normalization", 2018, arXiv:1803.08494, section 3.
    """
    (x,) = floating(x=x)
    first = spatial_axes(x, spatial)[0]
    groups = whole(groups, "groups", minimum=1)
    channels = x.shape[-1]
    if channels % groups:
        raise ValueError(
            f"`x` has {channels} channels, which {groups} groups cannot share equally: "
            "use a number of groups that divides the channels."
        )
    _check_last(x, 1, {"scale": scale, "bias": bias})
    _check_epsilon(epsilon)
    apart = promote_to_float32(x).reshape(*x.shape[:-1], groups, channels // groups)
    over = (*range(first - 1, -2), -1)
    out = _standardized(apart, over, epsilon).reshape(x.shape)
    scale, bias = _affine(scale, bias, (channels,), out.dtype)
    return _scale_and_shift(out, scale, bias).astype(x.dtype)


def instance_norm(
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    spatial: int = 2,
    epsilon: Number = 1e-5,
) -> Float[Array, "... channels"]:
    """Normalizes every channel of every example over its spatial axes.

    It is `group_norm` with as many groups as channels.

    Args:
        x: Feature maps.
        scale: Multiplies each channel; 1 by default.
        bias: Added to each channel; 0 by default.
        spatial: Number of spatial axes, which share their statistics.
        epsilon: Added to the variance, so that the divisor is not 0.

    Returns:
        Feature maps of the same shape.

    Raises:
        TypeError: As `group_norm`.
        ValueError: As `group_norm`, or if a feature map has only one value.

    Example:
        >>> instance_norm(jnp.array([[1.0], [3.0]]), spatial=1).round(3)[:, 0]
        Array([-1.,  1.], dtype=float32)

    Source:
        Ulyanov, Vedaldi & Lempitsky, "Instance Normalization", 2016, arXiv:1607.08022,
        equation 1.
    """
    (x,) = floating(x=x)
    axes = spatial_axes(x, spatial)
    size = [x.shape[axis] for axis in axes]
    if max(size) < 2:
        raise ValueError(
            f"`x` has spatial size {size}, but statistics need at least 2 values."
        )
    options = {"spatial": spatial, "epsilon": epsilon}
    return group_norm(x, scale, bias, groups=x.shape[-1], **options)


def local_response_norm(
    x: Float[Array, "... channels"],
    *,
    size: int,
    alpha: Number = 1e-4,
    beta: Number = 0.75,
    k: Number = 1.0,
) -> Float[Array, "... channels"]:
    """Divides every value by the energy of neighbouring channels at its position.

        out[c] = x[c] / (k + α/n · Σ x[j]²)^β,  over the n channels j around c

    Channels beyond the first and the last count as 0.

    Args:
        x: Feature maps.
        size: Number of channels n in the sum: ⌊n/2⌋ before c, the others from c on.
        alpha: Weight of the sum (divided by n, unlike in the paper).
        beta: Exponent of the divisor.
        k: Constant of the divisor.

    Returns:
        Feature maps of the same shape.

    Raises:
        TypeError: If `x` is not floating point, or has no axes.
        ValueError: If `size` is below 1.

    Example:
        >>> local_response_norm(jnp.array([1.0, 2.0]), size=1, alpha=1.0, beta=1.0)
        Array([0.5, 0.4], dtype=float32)

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep
        Convolutional Neural Networks", 2012, section 3.3; PyTorch,
        torch.nn.LocalResponseNorm, whose α / n this is.
    """
    (x,) = floating(x=x)
    if x.ndim == 0:
        raise TypeError("`x` has 0 axes, but needs at least 1, for channels.")
    size = whole(size, "size", minimum=1)
    wide, channels = promote_to_float32(x), x.shape[-1]
    farthest = max(channels - 1, 0)  # No channel has a neighbour beyond.
    before, after = min(size // 2, farthest), min((size - 1) // 2, farthest)
    square = jnp.pad(wide**2, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    around = [
        lax.slice_in_dim(square, i, i + channels, axis=x.ndim - 1)
        for i in range(before + after + 1)
    ]
    return (wide / (k + alpha / size * sum(around)) ** beta).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _by_batch(
    x: Array, scale: Array, bias: Array, epsilon: Number
) -> tuple[Array, Array, Array]:
    mean, centred, variance = _centred(x)
    out = _scale_and_shift(centred, scale * lax.rsqrt(variance + epsilon), bias)
    return out, mean, variance


@_by_batch.defjvp
def _by_batch_jvp(epsilon, primals, tangents):
    # The tangent uses two numbers per channel, a and b. Its transpose then needs two
    # sums, Σ ct · (x − μ) and Σ ct, where autodiff of the formula needs five, and the
    # only stored array of the size of x is x − μ.
    x, scale, bias = primals
    dx, dscale, dbias = tangents
    mean, centred, variance = _centred(x)
    inverse_std, count = lax.rsqrt(variance + epsilon), x.size // x.shape[-1]
    out = _scale_and_shift(centred, scale * inverse_std, bias)
    dmean = jnp.mean(dx, axis=tuple(range(x.ndim - 1)))
    dvariance = 2 * channel_dot(dx, centred) / count
    a = dscale * inverse_std - scale * inverse_std**3 * dvariance / 2
    b = dbias - scale * inverse_std * dmean
    dout = dx * _broadcast_channels(scale * inverse_std, x)
    dout = dout + _scale_and_shift(centred, a, b)
    return (out, mean, variance), (dout, dmean, dvariance)


def _centred(x: Array) -> tuple[Array, Array, Array]:
    """The mean of every channel, x minus the mean, and the variance."""
    mean = jnp.mean(x, axis=tuple(range(x.ndim - 1)))
    centred = x - _broadcast_channels(mean, x)
    return mean, centred, channel_dot(centred, centred) / (x.size // x.shape[-1])


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _standardized(x: Array, axes: tuple[int, ...], epsilon: Number) -> Array:
    mean, variance = _mean_and_variance(x, axes)
    return (x - mean) * lax.rsqrt(variance + epsilon)


@_standardized.defjvp
def _standardized_jvp(axes, epsilon, primals, tangents):
    (x,), (dx,) = primals, tangents
    mean, variance = _mean_and_variance(x, axes)
    inverse_std = lax.rsqrt(variance + epsilon)
    unit = (x - mean) * inverse_std
    dmean = jnp.mean(dx, axis=axes, keepdims=True)
    along = jnp.mean(dx * unit, axis=axes, keepdims=True)
    return unit, (dx - dmean - unit * along) * inverse_std


def _mean_and_variance(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and variance in two passes: in one pass, digits cancel."""
    mean = jnp.mean(x, axis=axes, keepdims=True)
    return mean, jnp.mean((x - mean) ** 2, axis=axes, keepdims=True)


def _broadcast_channels(last: Array, x: Array) -> Array:
    """An array of the last axes of `x`, repeated over the other axes."""
    return jnp.broadcast_to(last, x.shape)


def _scale_and_shift(x: Array, scale: Array, bias: Array) -> Array:
    return x * _broadcast_channels(scale, x) + _broadcast_channels(bias, x)


def _affine(
    scale: Array | None, bias: Array | None, shape: tuple[int, ...], dtype: jnp.dtype
) -> tuple[Array, Array]:
    scale = jnp.ones(shape, dtype) if scale is None else jnp.asarray(scale, dtype)
    bias = jnp.zeros(shape, dtype) if bias is None else jnp.asarray(bias, dtype)
    return scale, bias


def _check_last(x: Array, axes: int, given: dict[str, Array | None]) -> None:
    """Refuses arrays that are not of the shape of the last axes of `x`."""
    shape = x.shape[-axes:]
    for name, array in given.items():
        if array is None:
            continue
        (array,) = floating(**{name: array})
        if array.shape != shape:
            raise ValueError(
                f"`{name}` has shape {array.shape}, but `x` ends in {shape}: the two "
                "must agree."
            )


def _check_epsilon(epsilon: Number) -> None:
    if not epsilon >= 0:
        raise ValueError(f"`epsilon` is {epsilon}, but must be at least 0.")
