"""The stages of a network: modules that own parameters, and records that own none.

Arrays are channels-last, with any number of leading batch axes. A stage without
parameters is a frozen, hashable record, so that two equal networks share one
compilation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_uniform, zeros
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.functional.door import PerAxis, whole, window_of
from cnn_jax.functional.padding import Padding, PaddingMode

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
        in_channels = whole(in_channels, "in_channels", least=1)
        out_channels = whole(out_channels, "out_channels", least=1)
        groups = whole(groups, "groups", least=1)
        for name, channels in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
        ):
            if channels % groups:
                raise ValueError(
                    f"`{name}` is {channels}, which {groups} groups cannot share."
                )
        self.window = window_of(window)
        self.stride = _frozen(stride)
        self.padding = _frozen(padding)
        self.dilation = _frozen(dilation)
        self.groups = groups
        self.padding_mode: PaddingMode = padding_mode
        shape = (*self.window, in_channels // groups, out_channels)
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


class Dense(nnx.Module):
    """A fully connected layer: every value has a weighted vote for every output.

        out[o] = bias[o] + Σ kernel[i, o] · x[i]

    Feature maps become a list on the way in, in the order height, width, channels.

    Args:
        in_features: How many values vote: the length of the last axis, or the shape of
            the last axes, such as (4, 4, 16) for 16 maps of 4 × 4.
        out_features: How many outputs they vote for.
        use_bias: Whether a learned number is added to each output.
        kernel_init: Draws the weights; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` gives the keys.

    Example:
        >>> votes = Dense((4, 4, 16), 10, rngs=nnx.Rngs(0))
        >>> votes(jnp.zeros((32, 4, 4, 16))).shape
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
        self.in_shape = tuple(whole(n, "in_features", least=1) for n in shape)
        out_features = whole(out_features, "out_features", least=1)
        weights = (math.prod(self.in_shape), out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), weights, jnp.float32))
        self.bias = _bias(bias_init, out_features, rngs) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_features"]
    ) -> Float[Array, "... out_features"]:
        """The votes of `x`."""
        axes = len(self.in_shape)
        if x.shape[-axes:] != self.in_shape:
            raise ValueError(
                f"`x` ends in {x.shape[-axes:]}, but this layer reads {self.in_shape}."
            )
        batch = x.shape[:-axes]
        out = x.reshape(*batch, self.kernel.shape[0]) @ self.kernel[...]
        if self.bias is None:
            return out
        return out + jnp.broadcast_to(self.bias[...], out.shape)


class Dropout(nnx.Module):
    """Silences values at random while training, and none in evaluation.

    `nnx.view(net, deterministic=True)` is the network for evaluation. See
    `functional.dropout` for the formula.

    Args:
        rate: The share to silence.
        rngs: Its stream `dropout` gives the keys.

    Raises:
        ValueError: If `rate` is not at least 0 and below 1.

    Example:
        >>> drop = Dropout(0.5, rngs=nnx.Rngs(0))
        >>> nnx.view(drop, deterministic=True)(jnp.ones(4))
        Array([1., 1., 1., 1.], dtype=float32)

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, "Dropout: A Simple
        Way to Prevent Neural Networks from Overfitting", 2014, section 10.
    """

    def __init__(self, rate: float, *, rngs: nnx.Rngs):
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` is {rate}, but must be at least 0 and below 1.")
        self.rate = rate
        self.deterministic = False
        self.rngs = rngs["dropout"].fork()

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view` calls to switch between training and evaluation."""
        if deterministic is not None:
            self.deterministic = deterministic

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """`x` with some values silenced."""
        return x if self.deterministic else F.dropout(self.rngs(), x, self.rate)


@dataclass(frozen=True)
class MaxPool:
    """Keeps the largest value of each window; see `functional.max_pool`.

    Example:
        >>> MaxPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[3.]], dtype=float32)
    """

    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False

    def __post_init__(self):
        _freeze(self)

    def __call__(self, x: Float[Array, "... channels"]) -> Float[Array, "... channels"]:
        """Smaller feature maps."""
        return F.max_pool(x, **vars(self))


@dataclass(frozen=True)
class AvgPool:
    """Keeps the mean of each window; see `functional.avg_pool`.

    Example:
        >>> AvgPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[1.5]], dtype=float32)
    """

    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self):
        _freeze(self)

    def __call__(self, x: Float[Array, "... channels"]) -> Float[Array, "... channels"]:
        """Smaller feature maps."""
        return F.avg_pool(x, **vars(self))


def _bias(init: Initializer, size: int, rngs: nnx.Rngs) -> nnx.Param:
    return nnx.Param(init(rngs.params(), (size,), jnp.float32))


def _frozen(value: Any) -> Any:
    """Lists made tuples, so that a stage can be hashed."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _freeze(record: MaxPool | AvgPool) -> None:
    window_of(record.window)
    for name, value in vars(record).items():
        object.__setattr__(record, name, _frozen(value))
