"""The stages of a network that learn a kernel.

Arrays are channels-last, with any number of leading batch axes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_uniform, zeros
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.functional.checks import PerAxis, sizes, whole
from cnn_jax.functional.padding import Padding, PaddingMode
from cnn_jax.nn import receptive_field
from cnn_jax.nn.receptive_field import ReceptiveField
from cnn_jax.nn.records import frozen

Initializer = jax.nn.initializers.Initializer


class Conv(nnx.Module):
    """A convolution layer: one learned kernel per feature map, and a bias.

    See `functional.conv` for the formula, the options and the errors.

    Args:
        in_channels: Channels of what it reads.
        out_channels: Feature maps it makes.
        window: Taps along each spatial axis; its length says how many axes there are.
        stride: Places from one dot product to the next.
        padding: Places added around the input.
        dilation: Places from one tap to the next.
        groups: Blocks of channels that do not see each other.
        padding_mode: What stands in the added places.
        use_bias: Whether a learned number is added to each map.
        kernel_init: Draws the kernel; by default uniformly with He et al.'s variance,
            2 / (taps · in_channels / groups), for a normal takes long to compile.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Raises:
        TypeError: If `window` is not a tuple.
        ValueError: If the channels do not split into `groups`.

    Example:
        >>> layer = Conv(3, 8, (5, 5), stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((32, 28, 3))).shape
        (14, 12, 8)

    Source:
        He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", 2015, arXiv:1502.01852,
        equation 10.
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
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        group_channels, out_channels = _channels(in_channels, out_channels, groups)
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.dilation = frozen(dilation)
        self.groups = groups
        self.padding_mode: PaddingMode = padding_mode
        shape = (*self.window, group_channels, out_channels)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = _bias(bias_init, out_channels, rngs) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        return F.conv(
            x,
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            padding_mode=self.padding_mode,
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
    """A layer that spreads what it reads: the transpose of a convolution layer.

    See `functional.conv_transpose` for the formula, the options and the errors.

    Args:
        in_channels: Channels of what it reads.
        out_channels: Feature maps it makes.
        window: Places along each spatial axis over which a value is spread.
        stride: Places from where one value is spread to where the next one is.
        padding: Places that are cropped off.
        output_padding: Places added at the far end.
        dilation: Places from one tap to the next.
        groups: Blocks of channels that do not see each other.
        use_bias: Whether a learned number is added to each map.
        kernel_init: Draws the kernel of each group; by default uniformly with He et
            al.'s variance, 2 / (taps · in_channels / groups).
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Raises:
        TypeError: If `window` is not a tuple.
        ValueError: If the channels do not split into `groups`.

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
        kernel_init: Initializer = he_uniform(in_axis=-1, out_axis=-2),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        read, _ = _channels(in_channels, out_channels, groups)
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.output_padding = frozen(output_padding)
        self.dilation = frozen(dilation)
        self.groups = groups
        shape = (*self.window, out_channels // groups, read)
        keys = jax.random.split(rngs.params(), groups)
        draw = jax.vmap(lambda key: kernel_init(key, shape, jnp.float32), out_axes=-2)
        self.kernel = nnx.Param(draw(keys).reshape(*shape[:-1], in_channels))
        self.bias = _bias(bias_init, out_channels, rngs) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        return F.conv_transpose(
            x,
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
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
    """A convolution layer in two steps: each channel by itself, then all at one place.

    See `functional.separable_conv` for the formula, the options and the errors.

    Args:
        in_channels: Channels of what it reads.
        out_channels: Feature maps it makes.
        window: Taps along each spatial axis.
        multiplier: Filters per channel in the first step.
        stride: Places from one dot product to the next.
        padding: Places added around the input.
        dilation: Places from one tap to the next.
        padding_mode: What stands in the added places.
        use_bias: Whether a learned number is added to each map.
        kernel_init: Draws both kernels; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Raises:
        TypeError: If `window` is not a tuple.
        ValueError: If a number of channels is below 1.

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
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        middle = whole(multiplier, "multiplier", minimum=1) * in_channels
        _channels(in_channels, out_channels, groups=1)
        self.window = sizes(window, "window")
        self.stride = frozen(stride)
        self.padding = frozen(padding)
        self.dilation = frozen(dilation)
        self.padding_mode: PaddingMode = padding_mode
        ones = (1,) * len(self.window)
        first, second = (*self.window, 1, middle), (*ones, middle, out_channels)
        self.depthwise_kernel = nnx.Param(
            kernel_init(rngs.params(), first, jnp.float32)
        )
        self.pointwise_kernel = nnx.Param(
            kernel_init(rngs.params(), second, jnp.float32)
        )
        self.bias = _bias(bias_init, out_channels, rngs) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_channels"]
    ) -> Float[Array, "... out_channels"]:
        """The feature maps of `x`."""
        return F.separable_conv(
            x,
            self.depthwise_kernel[...],
            self.pointwise_kernel[...],
            None if self.bias is None else self.bias[...],
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            padding_mode=self.padding_mode,
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


class Dense(nnx.Module):
    """A fully connected layer: every value has a weighted vote for every output.

        out[o] = bias[o] + Σ kernel[i, o] · x[i]

    See `functional.dense` for the errors. Feature maps become a list on the way in, in
    the order height, width, channels.

    Args:
        in_features: How many values vote: the length of the last axis, or the shape of
            the last axes, such as (4, 4, 16) for 16 maps of 4 × 4.
        out_features: How many outputs they vote for.
        use_bias: Whether a learned number is added to each output.
        kernel_init: Draws the weights; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Example:
        >>> logits = Dense((4, 4, 16), 10, rngs=nnx.Rngs(0))
        >>> logits(jnp.zeros((32, 4, 4, 16))).shape
        (32, 10)

    Source:
        He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", 2015, arXiv:1502.01852,
        equation 10.
    """

    def __init__(
        self,
        in_features: int | Sequence[int],
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        shape = in_features if isinstance(in_features, Sequence) else (in_features,)
        self.in_shape = tuple(whole(n, "in_features", minimum=1) for n in shape)
        out_features = whole(out_features, "out_features", minimum=1)
        weights = (math.prod(self.in_shape), out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), weights, jnp.float32))
        self.bias = _bias(bias_init, out_features, rngs) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_features"]
    ) -> Float[Array, "... out_features"]:
        """The logits of `x`."""
        axes = len(self.in_shape)
        if x.shape[-axes:] != self.in_shape:
            raise ValueError(
                f"`x` ends in {x.shape[-axes:]}, but this layer reads {self.in_shape}."
            )
        return F.dense(
            x.reshape(*x.shape[:-axes], self.kernel.shape[0]),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
        )


class GraphConv(nnx.Module):
    """A layer over graphs: neighbours' features, mixed and weighed.

    See `functional.graph_conv` for the formula and the errors. It reads the pair
    (adjacency, features) and gives such a pair, so that layers stack in a Chain.

    Args:
        in_features: Of a node that it reads.
        out_features: Of a node that it makes.
        activation: What follows, of the features alone; nothing by default.
        use_bias: Whether a learned number is added to each feature.
        kernel_init: Draws the weights; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Example:
        >>> layer = GraphConv(3, 5, activation=F.relu, rngs=nnx.Rngs(0))
        >>> adjacency, features = layer((jnp.eye(7), jnp.ones((7, 3))))
        >>> features.shape
        (7, 5)

    Source:
        Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional
        Networks", 2017, arXiv:1609.02907, equation 2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: Callable[[Array], Array] | None = None,
        use_bias: bool = True,
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        shape = (
            whole(in_features, "in_features", minimum=1),
            whole(out_features, "out_features", minimum=1),
        )
        self.activation = activation
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = _bias(bias_init, out_features, rngs) if use_bias else None

    def __call__(self, graph: tuple[Any, Array]) -> tuple[Any, Array]:
        """The same adjacency, and new features."""
        adjacency, features = graph
        out = F.graph_conv(adjacency, features, self.kernel[...])
        if self.bias is not None:
            out = out + jnp.broadcast_to(self.bias[...], out.shape)
        return adjacency, out if self.activation is None else self.activation(out)


def _channels(in_channels: int, out_channels: int, groups: int) -> tuple[int, int]:
    """How many channels each output reads, and how many outputs there are."""
    groups = whole(groups, "groups", minimum=1)
    names = ("in_channels", in_channels), ("out_channels", out_channels)
    for name, channels in names:
        if whole(channels, name, minimum=1) % groups:
            raise ValueError(
                f"`{name}` is {channels}, which {groups} groups cannot share."
            )
    return in_channels // groups, out_channels


def _bias(init: Initializer, size: int, rngs: nnx.Rngs) -> nnx.Param:
    return nnx.Param(init(rngs.params(), (size,), jnp.float32))
