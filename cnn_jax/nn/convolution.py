"""Convolution layers: modules that own the kernel of a convolution.

Arrays are channels-last, with any number of leading batch axes.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.nn.initializers import Initializer, he_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.functional.checks import PerAxis, as_precision, sizes, whole
from cnn_jax.functional.padding import Padding, PaddingMode
from cnn_jax.nn import receptive_field
from cnn_jax.nn.parameters import cast, computation_dtype, parameter
from cnn_jax.nn.receptive_field import ReceptiveField
from cnn_jax.nn.records import frozen


class Conv(nnx.Module):
    """A convolution with a trainable kernel per output channel, and a bias.

    See `functional.conv` for the formula, the options and the errors.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels, which are feature maps.
        window: Taps along each spatial axis; its length is the number of axes.
        stride: Step of the window, in positions.
        padding: Padding elements around the input.
        dilation: Distance between two taps, in positions.
        groups: Blocks of channels that are convolved separately.
        padding_mode: Values of the padding elements; see `functional.pad`.
        use_bias: Whether a trainable number is added to each feature map.
        dtype: Dtype of the computation, to which the input, the kernel and the bias
            are cast. By default nothing is cast, and arrays of different dtypes are
            refused. Flax would promote them, which turns a bfloat16 network into a
            float32 one without a message.
        param_dtype: Dtype in which the parameters are drawn and stored.
        precision: Of the products in float32, as in `functional.conv`.
        method: Which formulation computes it, as in `functional.conv`.
        kernel_init: Draws the kernel; by default uniformly with He et al.'s variance,
            2 / (taps · in_channels / groups). (Normal numbers take long to compile.)
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` provides the keys.

    Raises:
        TypeError: If `window` is not a tuple, or a dtype is not floating point.
        ValueError: If `groups` does not divide the channels, or `precision` is unknown.

    Example:
        >>> layer = Conv(3, 8, (5, 5), stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((32, 28, 3))).shape
        (14, 12, 8)

    Source:
        He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", 2015, arXiv:1502.01852,
        equation 10; Flax, flax.nnx.Conv.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: Sequence[int],
        *,
        stride: PerAxis = 1,
        padding: Padding = "valid",
        dilation: PerAxis = 1,
        groups: int = 1,
        padding_mode: PaddingMode = "zeros",
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        method: str = "auto",
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        group_channels = _group_channels(in_channels, out_channels, groups)
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.dilation = frozen(dilation)
        self.groups = groups
        self.padding_mode: PaddingMode = padding_mode
        self.dtype = computation_dtype(dtype)
        self.precision = as_precision(precision)
        self.method = method
        draw = partial(parameter, dtype=param_dtype, rngs=rngs)
        self.kernel = draw(kernel_init, (*self.window, group_channels, out_channels))
        self.bias = draw(bias_init, (out_channels,)) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        return F.conv(
            *cast(self.dtype, x, self.kernel, self.bias),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            padding_mode=self.padding_mode,
            method=self.method,
            precision=self.precision,
        )

    def receptive_field(self, size: tuple[int, ...]) -> ReceptiveField:
        """The receptive field of an output unit, in positions of an input of `size`."""
        return receptive_field.of_window(
            size,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


class ConvTranspose(nnx.Module):
    """A transposed convolution with a trainable kernel and a bias.

    See `functional.conv_transpose` for the formula, the options and the errors.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels, which are feature maps.
        window: Taps along each spatial axis; its length is the number of axes.
        stride: Distance in the output between the windows of neighbouring inputs.
        padding: Positions that are cropped off the output.
        output_padding: Positions added at the far end of the output.
        dilation: Distance between two taps, in positions.
        groups: Blocks of channels that are convolved separately.
        use_bias: Whether a trainable number is added to each feature map.
        dtype: Dtype of the computation, as in `Conv`.
        param_dtype: Dtype in which the parameters are drawn and stored.
        precision: Of the products in float32, as in `functional.conv`.
        method: Which formulation computes it, as in `functional.conv`.
        kernel_init: Draws the kernel of each group; by default uniformly with He et
            al.'s variance, 2 / (taps · in_channels / groups).
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` provides the keys.

    Raises:
        TypeError: If `window` is not a tuple, or a dtype is not floating point.
        ValueError: If `groups` does not divide the channels, or `precision` is unknown.

    Example:
        >>> layer = ConvTranspose(8, 3, (4, 4), stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((7, 5, 8))).shape
        (14, 10, 3)

    Source:
        Long, Shelhamer & Darrell, "Fully Convolutional Networks for Semantic
        Segmentation", 2015, arXiv:1411.4038, section 3.3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: Sequence[int],
        *,
        stride: PerAxis = 1,
        padding: Padding = "valid",
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        method: str = "auto",
        kernel_init: Initializer = he_uniform(in_axis=-1, out_axis=-2),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        group_channels = _group_channels(in_channels, out_channels, groups)
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.output_padding = frozen(output_padding)
        self.dilation = frozen(dilation)
        self.groups = groups
        self.dtype = computation_dtype(dtype)
        self.precision = as_precision(precision)
        self.method = method
        draw = partial(parameter, dtype=param_dtype, rngs=rngs)
        shape = (*self.window, out_channels // groups, group_channels)
        self.kernel = draw(_per_group(kernel_init, groups), shape)
        self.bias = draw(bias_init, (out_channels,)) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        return F.conv_transpose(
            *cast(self.dtype, x, self.kernel, self.bias),
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
            method=self.method,
            precision=self.precision,
        )

    def receptive_field(self, size: tuple[int, ...]) -> ReceptiveField:
        """The receptive field of an output unit, in positions of an input of `size`."""
        return receptive_field.of_transposed_window(
            size,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


class SeparableConv(nnx.Module):
    """A depthwise convolution, then a pointwise one, with trainable kernels and a bias.

    See `functional.separable_conv` for the formula, the options and the errors.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels, which are feature maps.
        window: Taps of the depthwise convolution along each spatial axis.
        multiplier: Depthwise filters per input channel.
        stride: Step of the window, in positions.
        padding: Padding elements around the input.
        dilation: Distance between two taps, in positions.
        padding_mode: Values of the padding elements; see `functional.pad`.
        use_bias: Whether a trainable number is added to each feature map.
        dtype: Dtype of the computation, as in `Conv`.
        param_dtype: Dtype in which the parameters are drawn and stored.
        precision: Of the products in float32, as in `functional.conv`.
        method: Which formulation computes both, as in `functional.separable_conv`.
        kernel_init: Draws both kernels; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` provides the keys.

    Raises:
        TypeError: If `window` is not a tuple, or a dtype is not floating point.
        ValueError: If a number of channels is below 1, or `precision` is unknown.

    Example:
        >>> layer = SeparableConv(3, 8, (5, 5), rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((32, 28, 3))).shape
        (28, 24, 8)

    Source:
        Howard et al., "MobileNets", 2017, arXiv:1704.04861, section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: Sequence[int],
        *,
        multiplier: int = 1,
        stride: PerAxis = 1,
        padding: Padding = "valid",
        dilation: PerAxis = 1,
        padding_mode: PaddingMode = "zeros",
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        method: str = "auto",
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        _group_channels(in_channels, out_channels, groups=1)
        middle = whole(multiplier, "multiplier", minimum=1) * in_channels
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.dilation = frozen(dilation)
        self.padding_mode: PaddingMode = padding_mode
        self.dtype = computation_dtype(dtype)
        self.precision = as_precision(precision)
        self.method = method
        draw = partial(parameter, dtype=param_dtype, rngs=rngs)
        ones = (1,) * len(self.window)
        self.depthwise_kernel = draw(kernel_init, (*self.window, 1, middle))
        self.pointwise_kernel = draw(kernel_init, (*ones, middle, out_channels))
        self.bias = draw(bias_init, (out_channels,)) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        kernels = self.depthwise_kernel, self.pointwise_kernel
        return F.separable_conv(
            *cast(self.dtype, x, *kernels, self.bias),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            padding_mode=self.padding_mode,
            method=self.method,
            precision=self.precision,
        )

    def receptive_field(self, size: tuple[int, ...]) -> ReceptiveField:
        """The receptive field of an output unit, in positions of an input of `size`."""
        return receptive_field.of_window(
            size,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


def _group_channels(in_channels: int, out_channels: int, groups: int) -> int:
    """Number of input channels that each output channel reads."""
    groups = whole(groups, "groups", minimum=1)
    names = ("in_channels", in_channels), ("out_channels", out_channels)
    for name, channels in names:
        if whole(channels, name, minimum=1) % groups:
            raise ValueError(
                f"`{name}` is {channels}, which is not divisible by {groups} groups."
            )
    return in_channels // groups


def _per_group(init: Initializer, groups: int) -> Initializer:
    """Draws the kernel of each group with a key of its own, along the last axis."""

    def draw(
        key: Array, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> Array:
        keys = jax.random.split(key, groups)
        kernels = jax.vmap(lambda key: init(key, shape, dtype), out_axes=-2)(keys)
        return kernels.reshape(*shape[:-1], groups * shape[-1])

    return draw
