"""Normalization and dropout layers.

Arrays are channels-last, with any number of leading batch axes. Layers that differ in
evaluation follow Flax: the network for evaluation is
`nnx.view(net, deterministic=True, use_running_average=True)`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.functional.checks import Number, whole


class BatchNorm(nnx.Module):
    """Normalizes every channel over a batch; in evaluation by running statistics.

    See `functional.batch_norm` for the formula. Training updates the running mean

        mean ← (1 − m) · mean + m · mean of the batch

    and the running variance likewise, with the unbiased variance, n / (n − 1) times
    that of the batch.

    Args:
        channels: The number of channels.
        momentum: The weight m of a batch, as PyTorch defines it.
        epsilon: Added to the variance.
        use_scale: Whether each channel is multiplied by a learned scale.
        use_bias: Whether a learned bias is added to each channel.

    Raises:
        ValueError: If `channels` is below 1, or `momentum` not from 0 to 1.

    Example:
        >>> layer = BatchNorm(3)
        >>> layer(jnp.ones((8, 5, 5, 3))).shape
        (8, 5, 5, 3)
        >>> layer.mean[...]
        Array([0.1, 0.1, 0.1], dtype=float32)

    Source:
        Ioffe & Szegedy, "Batch Normalization", 2015, arXiv:1502.03167, algorithms 1 and
        2; PyTorch, torch.nn.BatchNorm2d.
    """

    def __init__(
        self,
        channels: int,
        *,
        momentum: Number = 0.1,
        epsilon: Number = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
    ):
        channels = whole(channels, "channels", minimum=1)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` is {momentum}, but must be from 0 to 1.")
        self.momentum = momentum
        self.epsilon = epsilon
        self.use_running_average = False
        self.scale, self.bias = _affine((channels,), use_scale, use_bias)
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))

    def set_view(self, use_running_average: bool | None = None) -> None:
        """What `nnx.view` calls to switch between training and evaluation."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(self, x: Float[Array, "... channels"]) -> Float[Array, "... channels"]:
        """`x` normalized."""
        affine = _value(self.scale), _value(self.bias)
        if self.use_running_average:
            return F.batch_norm(
                x,
                *affine,
                mean=self.mean[...],
                variance=self.var[...],
                epsilon=self.epsilon,
            )
        out, mean, variance = F.batch_norm(
            x, *affine, epsilon=self.epsilon, return_statistics=True
        )
        count = x.size // x.shape[-1]
        self._remember(self.mean, mean)
        self._remember(self.var, variance * (count / (count - 1)))
        return out

    def _remember(self, memory: nnx.BatchStat, now: Array) -> None:
        now = lax.stop_gradient(now).astype(memory.dtype)
        memory[...] = (1 - self.momentum) * memory[...] + self.momentum * now


class LayerNorm(nnx.Module):
    """Normalizes every example over its last axes; see `functional.layer_norm`.

    Args:
        shape: Of the last axes, or how many channels there are.
        epsilon: Keeps the divisor from 0.
        use_scale: Whether a learned number multiplies each value.
        use_bias: Whether a learned number is added to each value.

    Raises:
        ValueError: If an entry of `shape` is below 1.

    Example:
        >>> LayerNorm(2, epsilon=0)(jnp.array([[1.0, 3.0], [10.0, 30.0]]))
        Array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)

    Source:
        Ba, Kiros & Hinton, "Layer Normalization", 2016, arXiv:1607.06450, equation 3.
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        *,
        epsilon: Number = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
    ):
        sizes = shape if isinstance(shape, Sequence) else (shape,)
        sizes = tuple(whole(n, "shape", minimum=1) for n in sizes)
        self.axes = len(sizes)
        self.epsilon = epsilon
        self.scale, self.bias = _affine(sizes, use_scale, use_bias)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """`x` normalized."""
        affine = _value(self.scale), _value(self.bias)
        return F.layer_norm(x, *affine, axes=self.axes, epsilon=self.epsilon)


class GroupNorm(nnx.Module):
    """Normalizes groups of channels over all positions; see `functional.group_norm`.

    Args:
        channels: Of what it reads.
        groups: How many groups of neighbouring channels there are.
        spatial: How many axes before the channels share their statistics.
        epsilon: Keeps the divisor from 0.
        use_scale: Whether a learned number multiplies each channel.
        use_bias: Whether a learned number is added to each channel.

    Raises:
        ValueError: If `groups` does not divide `channels`.

    Example:
        >>> GroupNorm(4, groups=2)(jnp.ones((8, 5, 5, 4))).shape
        (8, 5, 5, 4)

    Source:
        Wu & He, "Group Normalization", 2018, arXiv:1803.08494, section 3.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int,
        spatial: int = 2,
        epsilon: Number = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
    ):
        channels = whole(channels, "channels", minimum=1)
        if channels % whole(groups, "groups", minimum=1):
            raise ValueError(
                f"`channels` is {channels}, which {groups} groups cannot share."
            )
        self.groups, self.spatial, self.epsilon = groups, spatial, epsilon
        self.scale, self.bias = _affine((channels,), use_scale, use_bias)

    def __call__(self, x: Float[Array, "... channels"]) -> Float[Array, "... channels"]:
        """`x` normalized."""
        affine = _value(self.scale), _value(self.bias)
        options = {"spatial": self.spatial, "epsilon": self.epsilon}
        return F.group_norm(x, *affine, groups=self.groups, **options)


class InstanceNorm(GroupNorm):
    """Normalizes each feature map over its positions; see `functional.instance_norm`.

    Args:
        channels: Of what it reads.
        spatial: How many axes before the channels share their statistics.
        epsilon: Keeps the divisor from 0.
        use_scale: Whether a learned number multiplies each channel.
        use_bias: Whether a learned number is added to each channel.

    Raises:
        ValueError: If `channels` is below 1.

    Example:
        >>> InstanceNorm(4)(jnp.ones((8, 5, 5, 4))).shape
        (8, 5, 5, 4)

    Source:
        Ulyanov, Vedaldi & Lempitsky, "Instance Normalization", 2016, arXiv:1607.08022,
        equation 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        spatial: int = 2,
        epsilon: Number = 1e-5,
        use_scale: bool = True,
        use_bias: bool = True,
    ):
        super().__init__(
            channels,
            groups=channels,
            spatial=spatial,
            epsilon=epsilon,
            use_scale=use_scale,
            use_bias=use_bias,
        )

    def __call__(self, x: Float[Array, "... channels"]) -> Float[Array, "... channels"]:
        """`x` normalized."""
        affine = _value(self.scale), _value(self.bias)
        options = {"spatial": self.spatial, "epsilon": self.epsilon}
        return F.instance_norm(x, *affine, **options)


class Dropout(nnx.Module):
    """Silences values at random while training, and none in evaluation.

    `nnx.view(net, deterministic=True)` is the network for evaluation. See
    `functional.dropout` for the formula.

    Args:
        rate: The share to silence.
        spatial: How many axes before the channels are silenced as one: 0 for every
            value by itself, 2 for whole feature maps of pictures.
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

    def __init__(self, rate: Number, *, spatial: int = 0, rngs: nnx.Rngs):
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` is {rate}, but must be at least 0 and below 1.")
        self.rate = rate
        self.spatial = spatial
        self.deterministic = False
        self.rngs = rngs["dropout"].fork()

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view` calls to switch between training and evaluation."""
        if deterministic is not None:
            self.deterministic = deterministic

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """`x` with some values silenced."""
        if self.deterministic:
            return x
        return F.dropout(self.rngs(), x, self.rate, spatial=self.spatial)


def _affine(
    shape: tuple[int, ...], use_scale: bool, use_bias: bool
) -> tuple[nnx.Param | None, nnx.Param | None]:
    scale = nnx.Param(jnp.ones(shape)) if use_scale else None
    return scale, nnx.Param(jnp.zeros(shape)) if use_bias else None


def _value(parameter: nnx.Param | None) -> Array | None:
    return None if parameter is None else parameter[...]
