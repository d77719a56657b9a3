"""ONNX of the poolings."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax import nn
from cnn_jax.export.onnx_graph import Graph, pads_of
from cnn_jax.export.onnx_layers import pad
from cnn_jax.functional.padding import as_pads
from cnn_jax.functional.pooling import pooling_counts, pooling_windows
from cnn_jax.lowering import Geometry
from cnn_jax.nn.walk import Node


def max_pool(graph: Graph, node: Node, x: str) -> str:
    """The largest value of each window."""
    if node.stage.return_indices:
        raise ValueError("its indices are those of channels-last maps")
    return _pool(graph, "MaxPool", x, _windows(node), -math.inf)


def avg_pool(graph: Graph, node: Node, x: str) -> str:
    """The mean of each window, over the padding elements that count."""
    windows = _windows(node)
    x = _mean_with_padding(graph, x, windows)
    padding = node.stage.padding if node.stage.count_include_pad else 0
    counts = pooling_counts(windows, as_pads(padding, windows))
    return _times(graph, x, math.prod(windows.window) / counts)


def sum_pool(graph: Graph, node: Node, x: str) -> str:
    """The sum of each window."""
    windows = _windows(node)
    x = _mean_with_padding(graph, x, windows)
    return _times(graph, x, np.float64(math.prod(windows.window)))


def lp_pool(graph: Graph, node: Node, x: str) -> str:
    """The p-norm of each window, where it does not depend on the sign."""
    p = node.stage.p
    if p != int(p) or int(p) % 2:
        raise ValueError(f"its p of {p} is no even number")
    windows = _windows(node)
    _refuse_dilation(windows)
    return _pool(graph, "LpPool", x, windows, 0.0, p=int(p))


def _mean_with_padding(graph: Graph, x: str, windows: Geometry) -> str:
    _refuse_dilation(windows)
    return _pool(graph, "AveragePool", x, windows, 0.0, count_include_pad=1)


def _refuse_dilation(windows: Geometry) -> None:
    if set(windows.dilation) != {1}:
        raise ValueError(f"its dilation is {windows.dilation}")


def _windows(node: Node) -> Geometry:
    stage: Any = node.stage
    names = ("window", "stride", "padding", "dilation", "ceil_mode")
    options = {name: getattr(stage, name) for name in names}
    size = node.input.shape[-len(stage.window) - 1 : -1]
    return pooling_windows(size, **options)


def _pool(
    graph: Graph, operator: str, x: str, windows: Geometry, empty: float, **rest: Any
) -> str:
    """A pooling; ONNX takes no padding as long as the window."""
    pads = pads_of(windows.pads)
    if max(pads) >= min(windows.window):
        x = pad(graph, x, pads, "constant", empty)
        pads = [0] * len(pads)
    dilations = list(windows.dilation) if operator == "MaxPool" else None
    return graph.add(
        operator,
        x,
        kernel_shape=list(windows.window),
        strides=list(windows.stride),
        pads=pads,
        dilations=dilations,
        **rest,
    )


def _times(graph: Graph, x: str, factors: Any) -> str:
    """X times numbers that are (*spatial, 1) or one for all."""
    if (np.asarray(factors) == 1).all():
        return x
    array = np.moveaxis(factors, -1, 0) if np.ndim(factors) else factors
    return graph.add("Mul", x, graph.constant("factors", array))


def adaptive_avg_pool(graph: Graph, node: Node, x: str) -> str:
    """The mean of each bin; of unequal bins by one matrix product per axis."""
    sizes = _bins(node)
    if all(n % m == 0 for n, m in sizes):
        return _equal_bins(graph, "AveragePool", x, sizes)
    if len(sizes) != 2:
        raise ValueError(f"its bins are unequal: {sizes}")
    rows, columns = (_bin_means(n, m) for n, m in sizes)
    x = graph.add("MatMul", x, graph.constant("columns", columns.T))
    return graph.add("MatMul", graph.constant("rows", rows), x)


def adaptive_max_pool(graph: Graph, node: Node, x: str) -> str:
    """The largest value of each bin."""
    sizes = _bins(node)
    if node.stage.return_indices or any(n % m for n, m in sizes):
        raise ValueError(f"its bins are unequal, or it returns indices: {sizes}")
    return _equal_bins(graph, "MaxPool", x, sizes)


def _bins(node: Node) -> list[tuple[int, int]]:
    """The size of each axis, and its number of bins."""
    stage: Any = node.stage
    size = node.input.shape[-len(stage.size) - 1 : -1]
    return [(n, n if m is None else m) for n, m in zip(size, stage.size, strict=True)]


def _equal_bins(graph: Graph, operator: str, x: str, sizes: Any) -> str:
    window = [n // m for n, m in sizes]
    if set(window) == {1}:
        return x
    return graph.add(operator, x, kernel_shape=window, strides=window)


def _bin_means(size: int, bins: int) -> np.ndarray:
    """The matrix (bins, size) whose row i is the mean of bin i."""
    matrix = np.zeros((bins, size))
    for i in range(bins):
        low, high = i * size // bins, -(-(i + 1) * size // bins)
        matrix[i, low:high] = 1 / (high - low)
    return matrix


def global_avg_pool(graph: Graph, node: Node, x: str) -> str:
    """The mean of each feature map."""
    return _global(graph, node, x, "Average", "ReduceMean")


def global_max_pool(graph: Graph, node: Node, x: str) -> str:
    """The largest value of each feature map."""
    return _global(graph, node, x, "Max", "ReduceMax")


def _global(graph: Graph, node: Node, x: str, kind: str, reduce: str) -> str:
    spatial = node.stage.spatial
    if len(node.input.shape) == spatial + 2:
        return graph.add("Flatten", graph.add(f"Global{kind}Pool", x), axis=1)
    return graph.axes(reduce, x, range(-spatial, 0), keepdims=0)


POOLS: dict[type, Callable[..., str]] = {
    nn.MaxPool: max_pool,
    nn.AvgPool: avg_pool,
    nn.SumPool: sum_pool,
    nn.LpPool: lp_pool,
    nn.AdaptiveAvgPool: adaptive_avg_pool,
    nn.AdaptiveMaxPool: adaptive_max_pool,
    nn.GlobalAvgPool: global_avg_pool,
    nn.GlobalMaxPool: global_max_pool,
}
