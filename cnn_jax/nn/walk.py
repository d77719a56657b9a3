"""One traversal of the stages of a network, by shapes alone."""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import jax
from flax import nnx

from cnn_jax.nn.blocks import identity
from cnn_jax.nn.chain import Block, Chain, Stage

INPUT = ""  # The name of the network's input among the `sources` of a node.


class Node(NamedTuple):
    """One stage of a network as a node of its data-flow graph.

    A stage reads one value. A block, which comes after the stages inside it, reads its
    input and the output of each of its branches, and joins them.

    Attributes:
        path: Where the stage is, such as `"layer1/0/conv1"`. It also names its output.
        stage: The module, function, record or block.
        sources: Paths of the values it reads: its input, and for a block then the
            outputs of its branches, in the order of `Block.named_branches`. `INPUT` is
            the input of the network.
        input: Shape and dtype of its input: a `jax.ShapeDtypeStruct` or a tree of them.
        output: Shape and dtype of its output.
        jaxpr: Its computation, as a function of the leaves of its `nnx.state` and of
            the values it reads.
    """

    path: str
    stage: Stage
    sources: tuple[str, ...]
    input: Any
    output: Any
    jaxpr: Any


def walk(net: Chain, x: Any) -> Iterator[Node]:
    """Follows shapes through every stage of a network, in the order of execution.

    The network is viewed as for evaluation. Chains are opened, and `identity` is not a
    node: who reads its output reads its input. Heads are left out.

    Args:
        net: The network. Its parameters may be shapes, as from `nnx.eval_shape`.
        x: Shape and dtype of the input, a `jax.ShapeDtypeStruct` or a tree of them.

    Yields:
        A node per stage: every node after the nodes whose outputs it reads.

    Raises:
        TypeError: If a stage refuses its input; the message has its path.
        ValueError: Likewise.

    Example:
        >>> import jax.numpy as jnp
        >>> from cnn_jax.nn import Residual
        >>> net = Chain({"a": jnp.tanh, "b": Residual(Chain({"c": jnp.exp}))})
        >>> for node in walk(net, jax.ShapeDtypeStruct((3,), jnp.float32)):
        ...     print(node.path, node.sources, node.output.shape)
        a ('',) (3,)
        b/c ('a',) (3,)
        b ('a', 'b/c', 'a') (3,)

    Source:
        PyTorch, torch.fx.Graph, whose nodes are likewise in order of execution and name
        those that they read.
    """
    view = nnx.view(
        net,
        raise_if_not_found=False,
        deterministic=True,
        use_running_average=True,
    )
    yield from _visit("", view, (INPUT, x))


Value = tuple[str, Any]  # The path that names a value, and its shape and dtype.


def _visit(path: str, stage: Any, value: Value) -> Generator[Node, None, Value]:
    """The nodes of a stage and of those inside it. Returns the value at its end."""
    if stage is identity:
        return value
    if isinstance(stage, Chain):
        for name in stage.names:
            value = yield from _visit(_join(path, name), stage.stages[name], value)
        return value
    values = [value]
    if isinstance(stage, Block):
        for name, branch in stage.named_branches():
            values.append((yield from _visit(_join(path, name), branch, value)))
    sources, shapes = zip(*values, strict=True)
    jaxpr, output = _trace(path, stage, shapes)
    yield Node(path, stage, sources, shapes[0], output, jaxpr)
    return path, output


def _join(path: str, name: str) -> str:
    return f"{path}/{name}".strip("/")


def _trace(path: str, stage: Stage, shapes: tuple[Any, ...]) -> tuple[Any, Any]:
    """The jaxpr and the output shape of a stage, of a block those of its join."""
    if isinstance(stage, nnx.Module):
        graph, state = nnx.split(stage)
    else:
        graph, state = None, None

    def call(state: Any, x: Any, *branches: Any) -> Any:
        module = stage if graph is None else nnx.merge(graph, state)
        return module.join(x, *branches) if isinstance(module, Block) else module(x)

    try:
        return jax.make_jaxpr(call, return_shape=True)(state, *shapes)
    except (TypeError, ValueError) as error:
        given = format_shape(jax.tree.map(lambda leaf: leaf.shape, shapes[0]))
        raise type(error)(f"stage {path!r}, given {given}: {error}") from error


def format_shape(shape: Any) -> str:
    """A shape, or a tuple of shapes, as text: 28×28×1.

    Example:
        >>> format_shape((28, 28, 1)), format_shape((3, 0.5))
        ('28×28×1', '3×0.5')
    """
    if not isinstance(shape, tuple):
        return str(shape)
    return "×".join(
        f"{n:g}" if isinstance(n, int | float) else format_shape(n) for n in shape
    )
