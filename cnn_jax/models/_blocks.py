"""Stages that several architectures share."""

import math

from flax import nnx
from jax.nn.initializers import Initializer

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import fan_in_uniform, uniform_bias


def conv(
    inputs: int,
    outputs: int,
    window: int,
    *,
    stride: int = 1,
    groups: int = 1,
    init: Initializer,
    rngs: nnx.Rngs,
) -> nn.Conv:
    """A convolution without bias, which preserves the spatial size at stride 1.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        window: Height and width of the kernel, an odd number.
        stride: Step of the window along both axes.
        groups: Blocks of channels that are convolved separately.
        init: Draws the kernel.
        rngs: Its stream `params` provides the key.
    """
    return nn.Conv(
        inputs,
        outputs,
        (window, window),
        stride=stride,
        padding=window // 2,
        groups=groups,
        use_bias=False,
        kernel_init=init,
        rngs=rngs,
    )


def norm_relu(
    channels: int, suffix: str | int = "", *, epsilon: float = 1e-5
) -> dict[str, nn.Stage]:
    """Batch normalization and ReLU, as the stages `norm` and `relu` with a suffix."""
    norm = nn.BatchNorm(channels, epsilon=epsilon)
    return {f"norm{suffix}": norm, f"relu{suffix}": F.relu}


def conv_norm_relu(
    inputs: int,
    outputs: int,
    window: int,
    suffix: str | int = "",
    *,
    stride: int = 1,
    epsilon: float = 1e-5,
    init: Initializer,
    rngs: nnx.Rngs,
) -> dict[str, nn.Stage]:
    """Convolution, batch normalization and ReLU, as stages with a suffix."""
    layer = conv(inputs, outputs, window, stride=stride, init=init, rngs=rngs)
    return {f"conv{suffix}": layer, **norm_relu(outputs, suffix, epsilon=epsilon)}


def uniform_dense(
    inputs: int | tuple[int, ...], outputs: int, *, rngs: nnx.Rngs
) -> nn.Dense:
    """A dense layer with PyTorch's default initialization, within ± 1 / √inputs."""
    fan_in = inputs if isinstance(inputs, int) else math.prod(inputs)
    return nn.Dense(
        inputs,
        outputs,
        kernel_init=fan_in_uniform,
        bias_init=uniform_bias(fan_in),
        rngs=rngs,
    )


def check_depth(depth: int, depths: dict) -> None:
    """Refuses a depth that is not in the table of an architecture."""
    if depth not in depths:
        raise ValueError(f"`depth` is {depth}, but must be one of {sorted(depths)}.")
