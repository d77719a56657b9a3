"""The networks in this library."""

from typing import Any

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from experiments.speed.libraries.networks import (
    Conv,
    Dense,
    MaxPool,
    Mean,
    Norm,
    Relu,
    Residual,
    shape_after,
)
from experiments.speed.libraries.nnx_step import ResidualSum


def build(layers: tuple, shape: tuple[int, ...], rngs: nnx.Rngs) -> nn.Chain:
    """The network as a `Chain`."""
    stages = {}
    for i, layer in enumerate(layers):
        stages[f"stage{i}"] = _layer(layer, shape_after(layers[:i], shape), rngs)
    return nn.Chain(stages)


def _layer(layer: Any, shape: tuple[int, ...], rngs: nnx.Rngs) -> Any:
    *size, channels = shape
    match layer:
        case Conv():
            return _conv(layer, channels, rngs)
        case Norm():
            return nn.BatchNorm(channels)
        case Relu():
            return F.relu
        case MaxPool(window):
            return nn.MaxPool(window)
        case Mean():
            spatial: Any = len(size)
            return nn.GlobalAvgPool(spatial=spatial)
        case Dense(features):
            return nn.Dense((*size, channels), features, rngs=rngs)
        case Residual():
            return ResidualSum(build, layer, shape, rngs)


def _conv(layer: Conv, channels: int, rngs: nnx.Rngs) -> nn.Conv:
    return nn.Conv(
        channels,
        layer.features or channels,
        layer.window,
        stride=layer.stride,
        padding=layer.padding,
        groups=1 if layer.features else channels,
        rngs=rngs,
    )
