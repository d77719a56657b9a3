"""ONNX of the stages with weights: convolution, dense layer, normalization."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax import nn
from cnn_jax.export.onnx_graph import Graph, channels_first, pads_of, per_axis
from cnn_jax.functional.padding import as_pads
from cnn_jax.lowering import Geometry
from cnn_jax.nn.walk import Node

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def conv(graph: Graph, node: Node, x: str) -> str:
    """A convolution, after a padding of its own where that is not by zeros."""
    layer: Any = node.stage
    return _conv(graph, node, x, channels_first(layer.kernel[...]), layer.groups)


def separable_conv(graph: Graph, node: Node, x: str) -> str:
    """A convolution of each channel, then one of a single position."""
    layer: Any = node.stage
    depthwise = channels_first(layer.depthwise_kernel[...])
    groups = node.input.shape[-1]
    x = _conv(graph, node, x, depthwise, groups, use_bias=False)
    weight = graph.constant("pointwise", channels_first(layer.pointwise_kernel[...]))
    return graph.add("Conv", x, weight, *_bias(graph, layer))


def _conv(
    graph: Graph,
    node: Node,
    x: str,
    kernel: np.ndarray,
    groups: int,
    *,
    use_bias: bool = True,
) -> str:
    layer: Any = node.stage
    axes = len(layer.window)
    strides, dilations = per_axis(layer.stride, axes), per_axis(layer.dilation, axes)
    size = node.input.shape[-axes - 1 : -1]
    windows = Geometry(size, layer.window, tuple(strides), (), tuple(dilations))
    pads = pads_of(as_pads(layer.padding, windows))
    if layer.padding_mode != "zeros" and any(pads):
        x = pad(graph, x, pads, PAD_MODES[layer.padding_mode])
        pads = [0] * len(pads)
    bias = _bias(graph, layer) if use_bias else []
    return graph.add(
        "Conv",
        *(x, graph.constant("weight", kernel), *bias),
        kernel_shape=list(layer.window),
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=groups,
    )


def _bias(graph: Graph, layer: Any) -> list[str]:
    none = layer.bias is None
    return [] if none else [graph.constant("bias", layer.bias[...])]


def pad(graph: Graph, x: str, pads: list[int], mode: str, value: float = 0.0) -> str:
    """Pads the spatial axes, which are the last ones."""
    if mode == "wrap" and graph.opset < 19:
        raise ValueError(f"a circular padding needs opset 19, but it is {graph.opset}")
    half = len(pads) // 2
    every = [0, 0, *pads[:half], 0, 0, *pads[half:]]
    sizes = graph.constant("pads", every, np.int64)
    return graph.add("Pad", x, sizes, graph.constant("value", value), mode=mode)


def pad_stage(graph: Graph, node: Node, x: str) -> str:
    """The stage `Pad`."""
    stage: Any = node.stage
    axes = len(stage.padding)
    size = node.input.shape[-axes - 1 : -1]
    pads = pads_of(as_pads(stage.padding, Geometry(size, size, (1,), (), (1,))))
    mode = {"zeros": "constant", **PAD_MODES}[stage.mode]
    return pad(graph, x, pads, mode, float(stage.value))


def conv_transpose(graph: Graph, node: Node, x: str) -> str:
    """A transposed convolution."""
    layer: Any = node.stage
    axes = len(layer.window)
    strides, dilations = per_axis(layer.stride, axes), per_axis(layer.dilation, axes)
    size = tuple(
        n * s for n, s in zip(node.input.shape[-axes - 1 : -1], strides, strict=True)
    )
    windows = Geometry(size, layer.window, tuple(strides), (), tuple(dilations))
    return graph.add(
        "ConvTranspose",
        *(x, graph.constant("weight", channels_first(layer.kernel[...]))),
        *_bias(graph, layer),
        kernel_shape=list(layer.window),
        strides=strides,
        pads=pads_of(as_pads(layer.padding, windows)),
        output_padding=per_axis(layer.output_padding, axes),
        dilations=dilations,
        group=layer.groups,
    )


def dense(graph: Graph, node: Node, x: str) -> str:
    """A matrix product; over feature maps, rows in the order channels, positions."""
    layer: Any = node.stage
    shape, axes = layer.in_shape, len(layer.in_shape)
    kernel = np.asarray(layer.kernel[...])
    if len(node.input.shape) == axes + 1:
        order = (axes, axes - 1, *range(axes - 1))
        weight = kernel.reshape(*shape, -1).transpose(order)
        weight = graph.constant("weight", weight.reshape(len(weight), -1))
        x = graph.add("Flatten", x, axis=1) if axes > 1 else x
        return graph.add("Gemm", x, weight, *_bias(graph, layer), transB=1)
    if axes > 1:
        raise ValueError(f"it reads the last {axes} of {node.input.shape[1:]}")
    window = (1,) * (len(node.input.shape) - 2)  # At every position on its own.
    weight = graph.constant("weight", kernel.T.reshape(*kernel.T.shape, *window))
    return graph.add("Conv", x, weight, *_bias(graph, layer))


def batch_norm(graph: Graph, node: Node, x: str) -> str:
    """Batch normalization by its running statistics."""
    layer: Any = node.stage
    parameters = _scale_and_bias(graph, layer, layer.mean.shape)
    statistics = (
        graph.constant(name, variable[...])
        for name, variable in (("mean", layer.mean), ("variance", layer.var))
    )
    every = (x, *parameters, *statistics)
    return graph.add("BatchNormalization", *every, epsilon=float(layer.epsilon))


def _scale_and_bias(graph: Graph, layer: Any, shape: tuple[int, ...]) -> list[str]:
    scale = np.ones(shape) if layer.scale is None else layer.scale[...]
    bias = np.zeros(shape) if layer.bias is None else layer.bias[...]
    return [graph.constant("scale", scale), graph.constant("bias", bias)]


def layer_norm(graph: Graph, node: Node, x: str) -> str:
    """Layer normalization over channels alone, or over everything but the batch."""
    layer: Any = node.stage
    count = len(node.input.shape)
    if layer.axes not in (1, count - 1):
        raise ValueError(f"it normalizes the last {layer.axes} of {count} axes")
    shape = node.input.shape[-layer.axes :]
    scale = np.ones(shape) if layer.scale is None else np.asarray(layer.scale[...])
    bias = np.zeros(shape) if layer.bias is None else np.asarray(layer.bias[...])
    parameters = [
        graph.constant(name, np.moveaxis(array, -1, 0))
        for name, array in (("scale", scale), ("bias", bias))
    ]
    options = {"epsilon": float(layer.epsilon), "axis": -layer.axes}
    if layer.axes == 1 and count > 2:
        x = graph.add("Transpose", x, perm=[0, *range(2, count), 1])
        x = graph.add("LayerNormalization", x, *parameters, **options)
        return graph.add("Transpose", x, perm=[0, count - 1, *range(1, count - 1)])
    return graph.add("LayerNormalization", x, *parameters, **options)


def group_norm(graph: Graph, node: Node, x: str) -> str:
    """Instance normalization of groups, then the scale and bias of each channel."""
    layer: Any = node.stage
    *spatial, channels = node.input.shape[1:]
    if layer.spatial != len(spatial):
        raise ValueError(f"it normalizes {layer.spatial} of {len(spatial)} axes")
    x = graph.shaped("Reshape", x, [0, layer.groups, -1])
    ones = graph.constant("ones", np.ones(layer.groups))
    zeros = graph.constant("zeros", np.zeros(layer.groups))
    epsilon = float(layer.epsilon)
    x = graph.add("InstanceNormalization", x, ones, zeros, epsilon=epsilon)
    x = graph.shaped("Reshape", x, [-1, channels, *spatial])
    shape = (channels, *(1 for _ in spatial))
    scale = np.ones(channels) if layer.scale is None else layer.scale[...]
    bias = np.zeros(channels) if layer.bias is None else layer.bias[...]
    return graph.affine(x, np.reshape(scale, shape), np.reshape(bias, shape))


def dropout(graph: Graph, node: Node, x: str) -> str:
    """Nothing: this is evaluation."""
    return x


def local_response_norm(graph: Graph, node: Node, x: str) -> str:
    """Local response normalization, whose windows agree for odd sizes."""
    stage: Any = node.stage
    if stage.size % 2 == 0:
        raise ValueError(f"its window of {stage.size} channels has no middle")
    options = {"alpha": stage.alpha, "beta": stage.beta, "bias": stage.k}
    options = {name: float(value) for name, value in options.items()}
    return graph.add("LRN", x, size=stage.size, **options)


LAYERS: dict[type, Callable[..., str]] = {
    nn.Conv: conv,
    nn.ConvTranspose: conv_transpose,
    nn.SeparableConv: separable_conv,
    nn.Dense: dense,
    nn.BatchNorm: batch_norm,
    nn.LayerNorm: layer_norm,
    nn.GroupNorm: group_norm,
    nn.InstanceNorm: group_norm,
    nn.Dropout: dropout,
    nn.LocalResponseNorm: local_response_norm,
    nn.Pad: pad_stage,
}
