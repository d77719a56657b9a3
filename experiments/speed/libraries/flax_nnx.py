"""The networks in stock Flax NNX."""

from typing import Any

import numpy as np
from flax import nnx

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


def build(layers: tuple, shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Sequential:
    """The network as an `nnx.Sequential`."""
    return nnx.Sequential(
        *(
            _layer(layer, shape_after(layers[:i], shape), rngs)
            for i, layer in enumerate(layers)
        )
    )


def _layer(layer: Any, shape: tuple[int, ...], rngs: nnx.Rngs) -> Any:
    *size, channels = shape
    match layer:
        case Conv():
            return _conv(layer, channels, rngs)
        case Norm():
            return nnx.BatchNorm(channels, rngs=rngs)
        case Relu():
            return nnx.relu
        case MaxPool(window):
            return lambda x: nnx.max_pool(x, window, strides=window)
        case Mean():
            return lambda x: x.mean(tuple(range(1, 1 + len(size))))
        case Dense(features):
            linear = nnx.Linear(int(np.prod(shape)), features, rngs=rngs)
            return nnx.Sequential(lambda x: x.reshape(len(x), -1), linear)
        case Residual():
            return ResidualSum(build, layer, shape, rngs)


def _conv(layer: Conv, channels: int, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        channels,
        layer.features or channels,
        layer.window,
        strides=layer.stride,
        padding=[(layer.padding, layer.padding)] * len(layer.window),
        feature_group_count=1 if layer.features else channels,
        rngs=rngs,
    )
