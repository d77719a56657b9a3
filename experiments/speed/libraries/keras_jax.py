"""The networks in Keras 3 on JAX."""

import importlib
import os
from collections.abc import Callable
from typing import Any

from experiments.speed.libraries.networks import (
    Conv,
    Dense,
    MaxPool,
    Mean,
    Net,
    Norm,
    Relu,
    Residual,
)
from experiments.speed.libraries.nnx_step import OPTIMIZER, mean_loss, sgd_update


def keras_step(net: Net) -> tuple[Callable, Any]:
    """As `nnx_step`, for the network in Keras."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras: Any = importlib.import_module("keras")

    x = keras.Input(net.shape)
    model = keras.Model(x, _apply(keras, net.layers, x))
    params = [v.value for v in model.trainable_variables]
    rest = [v.value for v in model.non_trainable_variables]

    def step(state, x, labels):
        params, rest, opt_state = state

        def loss(params):
            logits, new = model.stateless_call(params, rest, x, training=True)
            return mean_loss(logits, labels), new

        return sgd_update(loss, params, opt_state)

    return step, (params, rest, OPTIMIZER.init(params))


def _apply(keras: Any, layers: tuple, x: Any) -> Any:
    for layer in layers:
        x = _layer(keras, layer, x)
    return x


def _layer(keras: Any, layer: Any, x: Any) -> Any:
    layers = keras.layers
    match layer:
        case Conv():
            return _conv(layers, layer, x)
        case Norm():
            return layers.BatchNormalization()(x)
        case Relu():
            return layers.ReLU()(x)
        case MaxPool(window):
            return getattr(layers, f"MaxPooling{len(window)}D")(window)(x)
        case Mean():
            return getattr(layers, f"GlobalAveragePooling{x.ndim - 2}D")()(x)
        case Dense(features):
            return layers.Dense(features)(layers.Flatten()(x))
        case Residual(main, shortcut):
            branches = [_apply(keras, part, x) for part in (main, shortcut)]
            return layers.Add()(branches)


def _conv(layers: Any, layer: Conv, x: Any) -> Any:
    features, window, stride, padding = layer
    axes = len(window)
    if padding:
        x = getattr(layers, f"ZeroPadding{axes}D")(padding)(x)
    if features is None:
        return getattr(layers, f"DepthwiseConv{axes}D")(window, strides=stride)(x)
    return getattr(layers, f"Conv{axes}D")(features, window, strides=stride)(x)
