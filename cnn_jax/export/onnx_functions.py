"""ONNX of activations, of blocks, and of the records of some models."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.export.onnx_graph import CHANNELS, Graph
from cnn_jax.export.stages import Quantity
from cnn_jax.models.preprocessing import Normalize
from cnn_jax.models.resnet import SubsampleAndPad
from cnn_jax.models.sound_net import Silence
from cnn_jax.nn.walk import Node


def _unary(operator: str, **attributes: Any) -> Callable[..., str]:
    """An operator of one value with fixed attributes."""

    def write(graph: Graph, x: str) -> str:
        return graph.add(operator, x, **attributes)

    return write


def _clipped(low: float, high: float) -> Callable[..., str]:
    def write(graph: Graph, x: str) -> str:
        bounds = graph.constant("low", low), graph.constant("high", high)
        return graph.add("Clip", x, *bounds)

    return write


def _leaky_relu(graph: Graph, x: str, negative_slope: float = 0.01) -> str:
    return graph.add("LeakyRelu", x, alpha=float(negative_slope))


def _elu(graph: Graph, x: str, alpha: float = 1.0) -> str:
    return graph.add("Elu", x, alpha=float(alpha))


def _celu(graph: Graph, x: str, alpha: float = 1.0) -> str:
    return graph.add("Celu", x, alpha=float(alpha))


def _silu(graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _mish(graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x)))


def _gelu(graph: Graph, x: str, approximate: bool = True) -> str:
    """X · Φ(x), by the tanh that approximates it or by the error function."""
    if approximate:
        cube = graph.add("Mul", graph.add("Mul", x, x), x)
        inner = graph.add("Mul", cube, graph.constant("cubic", 0.044715))
        inner = graph.add("Add", x, inner)
        root = graph.constant("root", math.sqrt(2 / math.pi))
        bell = graph.add("Tanh", graph.add("Mul", inner, root))
    else:
        root = graph.constant("root", math.sqrt(0.5))
        bell = graph.add("Erf", graph.add("Mul", x, root))
    return graph.add("Mul", x, graph.affine(bell, 0.5, 0.5))


FUNCTIONS: dict[Any, Callable[..., str]] = {
    F.relu: _unary("Relu"),
    F.tanh: _unary("Tanh"),
    F.sigmoid: _unary("Sigmoid"),
    F.softplus: _unary("Softplus"),
    F.softmax: _unary("Softmax", axis=CHANNELS),
    F.log_softmax: _unary("LogSoftmax", axis=CHANNELS),
    F.hard_sigmoid: _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    F.hard_silu: _unary("HardSwish"),
    F.selu: _unary("Selu"),
    F.relu6: _clipped(0.0, 6.0),
    F.hard_tanh: _clipped(-1.0, 1.0),
    F.leaky_relu: _leaky_relu,
    F.elu: _elu,
    F.celu: _celu,
    F.silu: _silu,
    F.mish: _mish,
    F.gelu: _gelu,
    nn.identity: lambda graph, x: x,
}


def function(graph: Graph, stage: Any, x: str) -> str:
    """An activation, perhaps with some of its options.

    Raises:
        ValueError: If ONNX has no operator for it.
    """
    options = dict(stage.keywords) if isinstance(stage, partial) else {}
    called = stage.func if isinstance(stage, partial) else stage
    try:
        write = FUNCTIONS.get(called)
    except TypeError:  # It is not hashable.
        write = None
    if write is None or (isinstance(stage, partial) and stage.args):
        raise ValueError("ONNX has no operator for it")
    return write(graph, x, **options)


def branches(graph: Graph, node: Node, x: str, *outputs: str) -> str:
    """The channels of all branches."""
    axis = CHANNELS if len(node.output.shape) > 1 else 0
    return graph.add("Concat", *outputs, axis=axis)


def residual(graph: Graph, node: Node, x: str, body: str, shortcut: str) -> str:
    """The activation of a sum."""
    total = graph.add("Add", body, shortcut)
    return function(graph, node.stage.activation, total)


def masked(graph: Graph, node: Node, x: str, body: str) -> str:
    """The maps up to the last frame that is not silent, and zeros after it."""
    loud = graph.axes("ReduceMax", graph.add("Abs", x), (1, 2), keepdims=1)
    axis = graph.constant("axis", 3, np.int64)
    later = graph.add("CumSum", graph.add("Sign", loud), axis, reverse=1)
    mask = graph.add("Greater", later, graph.constant("zero", 0.0))
    return graph.add("Where", mask, body, graph.constant("silent", 0.0))


def subsample_and_pad(graph: Graph, node: Node, x: str) -> str:
    """Every few positions, with channels of zeros appended."""
    stage: Any = node.stage
    spatial = range(2, len(node.input.shape))
    numbers = {
        "starts": [0 for _ in spatial],
        "ends": list(node.input.shape[1:-1]),
        "axes": list(spatial),
        "steps": [stage.stride for _ in spatial],
    }
    every = (graph.constant(name, n, np.int64) for name, n in numbers.items())
    x = graph.add("Slice", x, *every)
    before = [0] * len(node.input.shape)
    after = [0, stage.extra_channels, *(0 for _ in spatial)]
    pads = graph.constant("pads", before + after, np.int64)
    return graph.add("Pad", x, pads, graph.constant("value", 0.0))


def silence(graph: Graph, node: Node, x: str) -> str:
    """A signal with zeros appended."""
    sizes = graph.constant("pads", [0, 0, 0, node.stage.samples], np.int64)
    return graph.add("Pad", x, sizes, graph.constant("value", 0.0))


def normalize(graph: Graph, node: Node, x: str) -> str:
    """Pixels from bytes or from −1 … 1, with the mean and deviation of a network."""
    stage: Any = node.stage
    shape = (-1, *(1 for _ in node.input.shape[1:-1]))
    mean, deviation = (
        np.reshape(values, shape) for values in (stage.mean, stage.deviation)
    )
    scale, shift = 1 / 2, 1 / 2
    if node.input.dtype == np.uint8:
        x = graph.add("Cast", x, to=1)
        scale, shift = 1 / 255, 0.0
    return graph.affine(x, scale / deviation, (shift - mean) / deviation)


def quantity(graph: Graph, node: Node, x: str) -> str:
    """The output in the unit of the predicted quantity."""
    return graph.affine(x, node.stage.deviation, node.stage.mean)


BLOCKS: dict[type, Callable[..., str]] = {
    nn.Branches: branches,
    nn.Residual: residual,
    nn.Masked: masked,
    SubsampleAndPad: subsample_and_pad,
    Silence: silence,
    Normalize: normalize,
    Quantity: quantity,
}
