"""ONNX, written stage by stage."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import nn
from cnn_jax.export.network import (
    check_equal,
    outputs_of,
    random_input,
    with_preprocessing,
)
from cnn_jax.export.onnx_audio import AUDIO
from cnn_jax.export.onnx_functions import BLOCKS, function
from cnn_jax.export.onnx_graph import Graph, onnx_library
from cnn_jax.export.onnx_layers import LAYERS
from cnn_jax.export.onnx_pools import POOLS
from cnn_jax.models.extras import required
from cnn_jax.models.preprocessing import Normalize
from cnn_jax.nn.walk import INPUT, Node, walk

Order = Literal["nhwc", "nchw"]
STAGES: dict[type, Callable[..., str]] = LAYERS | POOLS | BLOCKS | AUDIO
MIN_OPSET = 13


def onnx(
    net: nn.Chain,
    shape: Sequence[int],
    *,
    input: Order = "nhwc",
    normalize: Normalize | None = None,
    classes: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    fuse_batch_norm: bool = False,
    opset: int = 17,
) -> Any:
    """A network as an ONNX model, for evaluation.

    Every stage becomes the operator of ONNX that computes the same: `Conv`, `MaxPool`,
    `BatchNormalization`, `Gemm`. Channels come second inside, so that a network of
    channels-last images has one `Transpose`, at its input. The batch is symbolic: one
    file serves every batch size. Its input is named `input`, its output `output`.

    Args:
        net: The network. Heads are left out.
        shape: The shape of one input, channels last.
        input: Whether images are given with channels last or first. Outputs with
            spatial axes follow.
        normalize: Makes the input bytes, and normalizes them first; see
            `Preprocessing.normalize` of pretrained weights.
        classes: Names of the classes; stored as JSON in the metadata `classes`.
        metadata: Further texts by name.
        fuse_batch_norm: Whether a batch normalization behind a convolution becomes part
            of its kernel, which changes outputs by rounding.
        opset: The version of ONNX's operators, 13 or later; spectrograms need 17.

    Returns:
        An `onnx.ModelProto`, checked by `onnx.checker` with full shape inference.

    Raises:
        ValueError: If a stage has no operator in ONNX; the message has its path. If the
            network computes in another dtype than float32.
        TypeError: If a stage refuses its input.
        ModuleNotFoundError: If the extra `onnx` is not installed.

    Example:
        >>> from cnn_jax import models
        >>> from flax import nnx
        >>> net = models.build("xo_net", rngs=nnx.Rngs(0))
        >>> model = onnx(net, (28, 28, 1), classes=("O", "X"))  # doctest: +SKIP

    Source:
        ONNX, "ONNX Operators" and "Open Neural Network Exchange Intermediate
        Representation (ONNX IR) Specification".
    """
    if input not in get_args(Order):
        raise ValueError(f"`input` is {input!r}, but must be 'nhwc' or 'nchw'.")
    if opset < MIN_OPSET:
        raise ValueError(f"`opset` is {opset}, but must be at least {MIN_OPSET}.")
    dtype = jnp.float32 if normalize is None else jnp.uint8
    net = with_preprocessing(net, normalize)
    graph = Graph(opset)
    output = _write(graph, net, jax.ShapeDtypeStruct((1, *shape), dtype), input)
    if fuse_batch_norm:
        _fuse(graph)
    model = _model(graph, (tuple(shape), dtype), output, input)
    described = {"classes": json.dumps(list(classes))} if classes else {}
    described |= {"input": input, **(metadata or {})}
    onnx_library().helper.set_model_props(model, described)
    onnx_library().checker.check_model(model, full_check=True)
    return model


def _write(graph: Graph, net: nn.Chain, x: Any, order: Order) -> tuple[str, Any]:
    """Writes all stages; returns the name of the output, and its shape."""
    last = len(x.shape) - 1
    name = "input"
    if order == "nhwc" and last > 1:
        name = graph.add("Transpose", name, perm=[0, last, *range(1, last)])
    values, value = {INPUT: name}, (name, x)
    for node in walk(net, x):
        _check_dtype(node)
        graph.path = node.path
        sources = [values[source] for source in node.sources]
        values[node.path] = _stage(graph, node, sources)
        value = values[node.path], node.output
    graph.path = ""
    name, shape = value
    last = len(shape.shape) - 1
    if order == "nhwc" and last > 1:
        name = graph.add("Transpose", name, perm=[0, *range(2, last + 1), 1])
    return name, shape


def _stage(graph: Graph, node: Node, sources: list[str]) -> str:
    try:
        write = STAGES.get(type(node.stage))
        if write is None:
            return function(graph, node.stage, sources[0])
        return write(graph, node, *sources)
    except ValueError as error:
        kind = getattr(node.stage, "__name__", type(node.stage).__name__)
        raise ValueError(
            f"the stage {node.path!r}, {kind}, cannot be written to ONNX: {error}. "
            "Replace it, or export the stages before it."
        ) from error


def _check_dtype(node: Node) -> None:
    """Refuses what is not one array of float32."""
    for value in node.input, node.output:
        dtype = getattr(value, "dtype", None)
        if dtype not in (jnp.float32, jnp.uint8):
            kind = "several arrays" if dtype is None else str(dtype)
            raise ValueError(
                f"the stage {node.path!r} reads or returns {kind}, but only float32 is "
                "written to ONNX."
            )


def _model(graph: Graph, given: Any, output: tuple[str, Any], order: Order) -> Any:
    """The model around the nodes of a graph."""
    library = onnx_library()
    helper, types = library.helper, library.TensorProto
    shape, dtype = given
    kind = types.UINT8 if dtype == jnp.uint8 else types.FLOAT
    name, out = output
    if name == "input":
        graph.nodes.append(helper.make_node("Identity", ["input"], ["output"]))
    else:
        graph.nodes[-1].output[0] = "output"
    made = helper.make_graph(
        graph.nodes,
        "cnn_jax",
        [helper.make_tensor_value_info("input", kind, _sizes(shape, order))],
        [
            helper.make_tensor_value_info(
                "output", types.FLOAT, _sizes(out.shape[1:], order)
            )
        ],
        [library.numpy_helper.from_array(a, n) for n, a in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    version = helper.find_min_ir_version_for(opsets)
    return helper.make_model(
        made, opset_imports=opsets, ir_version=version, producer_name="cnn_jax"
    )


def _sizes(shape: Sequence[int], order: Order) -> list[str | int]:
    last = len(shape) > 1 and order == "nchw"
    return ["batch", *([shape[-1], *shape[:-1]] if last else shape)]


def _fuse(graph: Graph) -> None:
    """Makes batch normalizations part of the convolutions before them."""
    readers = Counter(name for node in graph.nodes for name in node.input)
    made = {node.output[0]: node for node in graph.nodes}
    for norm in [n for n in graph.nodes if n.op_type == "BatchNormalization"]:
        conv = made.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers[conv.output[0]] > 1:
            continue
        values = [graph.constants.pop(name) for name in norm.input[1:]]
        _fold(graph, conv, *values, epsilon=norm.attribute[0].f)
        conv.output[0] = norm.output[0]
        graph.nodes.remove(norm)


def _fold(
    graph: Graph,
    conv: Any,
    scale: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float,
) -> None:
    """Scales the kernel, and adds a bias, in float64."""
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    weight = graph.constants[conv.input[1]]
    shaped = factor.reshape(-1, *(1,) * (weight.ndim - 1))
    graph.constants[conv.input[1]] = (weight * shaped).astype(np.float32)
    name = conv.input[2] if len(conv.input) > 2 else f"{conv.output[0]}_bias"
    before = graph.constants.get(name, np.zeros_like(mean))
    graph.constants[name] = (bias + (before - mean) * factor).astype(np.float32)
    if len(conv.input) == 2:
        conv.input.append(name)


def check_onnx(
    model: Any,
    net: nn.Chain,
    shape: Sequence[int],
    *,
    input: Order = "nhwc",
    normalize: Normalize | None = None,
) -> float:
    """Runs an ONNX model by ONNX Runtime, and compares it with its network.

    Args:
        model: What `onnx` returned.
        net: The network.
        shape: As it was given to `onnx`.
        input: As it was given to `onnx`.
        normalize: As it was given to `onnx`.

    Returns:
        The relative difference of the outputs for random inputs.

    Raises:
        ValueError: If it is larger than 1e-4.
        ModuleNotFoundError: If the extra `onnx` is not installed.
    """
    runtime = required("onnxruntime", "onnx", "checks of ONNX files")
    x = random_input(shape, np.float32 if normalize is None else np.uint8)
    wanted = outputs_of(with_preprocessing(net, normalize), x)
    given = np.moveaxis(x, -1, 1) if input == "nchw" and x.ndim > 2 else x
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(["output"], {"input": np.ascontiguousarray(given)})
    got = np.moveaxis(got, 1, -1) if input == "nchw" and got.ndim > 2 else got
    return check_equal("the ONNX model", got, wanted)
