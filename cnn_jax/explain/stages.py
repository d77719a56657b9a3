"""The stages of a network: all of them by path, and the part that learns nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from flax import nnx
from jax import Array

from cnn_jax.explain.inputs import check_chain
from cnn_jax.nn import Chain
from cnn_jax.nn.chain import Block


def all_stages(path: str, stage: Any) -> list[tuple[str, Any]]:
    """Every stage with its path, at any depth.

    Args:
        path: Of the stage; `""` for a network.
        stage: A network, a block, or another stage, which is returned itself.
    """
    if isinstance(stage, Chain):
        inside = [(name, stage.stages[name]) for name in stage.names]
    elif isinstance(stage, Block):
        inside = stage.named_branches()
    else:
        return [(path, stage)]
    pairs = [(f"{path}/{name}".strip("/"), inner) for name, inner in inside]
    return [found for pair in pairs for found in all_stages(*pair)]


def stage_shapes(net: Chain, x: Array, batch_axes: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the input and of every step's output, without batch axes.

    Outputs that are no single array are left out.

    Args:
        net: The network.
        x: Inputs.
        batch_axes: The number of their batch axes.
    """
    value: Any = jax.eval_shape(lambda x: x, x)
    found = {"": value.shape[batch_axes:]}
    for path, stage in net.steps():
        value = jax.eval_shape(stage, value)
        if hasattr(value, "shape"):
            found[path] = value.shape[batch_axes:]
    return found


def split_front(net: Chain) -> tuple[Chain | None, Chain]:
    """A network in two: the stages before the first with parameters, and the rest.

    Of a network for audio, the first part turns a wave into a spectrogram, which is a
    picture: attributions for the second part lie in it.

    Args:
        net: The network.

    Returns:
        Both parts, which share its stages; None in place of the first if it is empty.

    Raises:
        TypeError: If `net` is no Chain.
        ValueError: If no stage has parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from cnn_jax.nn import Dense
        >>> dense = Dense(3, 2, rngs=nnx.Rngs(0))
        >>> front, rest = split_front(Chain({"level": jnp.abs, "classifier": dense}))
        >>> front.names, rest.names
        (('level',), ('classifier',))

    Source:
        Becker et al., "AudioMNIST: exploring explainable artificial intelligence for
        audio analysis on a simple benchmark", 2018, arXiv:1807.03418, section 3.
    """
    check_chain(net)
    learned = [bool(_parameters(net.stages[name])) for name in net.names]
    if not any(learned):
        raise ValueError("`net` has no stage with parameters, so nothing was learned.")
    first = learned.index(True)
    stages = [{n: net.stages[n] for n in part} for part in _parts(net.names, first)]
    return Chain(stages[0]) if first else None, Chain(stages[1])


def _parts(names: tuple[str, ...], first: int) -> tuple[tuple[str, ...], ...]:
    return names[:first], names[first:]


def _parameters(stage: Any) -> list[Any]:
    """The trainable variables of a stage."""
    if not isinstance(stage, nnx.Module):
        return []
    return [node for _, node in nnx.iter_graph(stage) if isinstance(node, nnx.Param)]


def evaluated(net: Chain) -> Chain:
    """The network for evaluation: stored statistics, and no dropout.

    Args:
        net: The network.

    Returns:
        A view that shares the parameters.

    Raises:
        TypeError: If `net` is no Chain.

    Example:
        >>> from cnn_jax.nn import BatchNorm
        >>> evaluated(Chain({"norm": BatchNorm(2)})).stages["norm"].use_running_average
        True

    Source:
        Flax, `flax.nnx.view`.
    """
    check_chain(net)
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.view(net, raise_if_not_found=False, **modes)


def compiled(function: Callable[..., Any], net: Chain) -> Callable[..., Any]:
    """`function(net, …)` as one compiled function of the other arguments.

    The parameters are arguments of the program. In `jax.jit(partial(function, net))`
    they would be constants, which take long to compile in a large network, and every
    network would be compiled anew: here, networks of one architecture share a program.

    Args:
        function: From a network and arrays to arrays, such as `saliency`; options by
            `functools.partial`. The program is shared between calls with one and the
            same function.
        net: The network.

    Returns:
        A function of the arrays.

    Raises:
        TypeError: If `net` is no Chain.

    Example:
        >>> import jax.numpy as jnp
        >>> from cnn_jax.explain import saliency
        >>> from cnn_jax.nn import Dense
        >>> net = Chain({"classifier": Dense(5, 2, rngs=nnx.Rngs(0))})
        >>> compiled(saliency, net)(jnp.ones((3, 5)), jnp.array([0, 1, 0])).shape
        (3, 5)

    Source:
        Flax, "Functional API": split, and merge inside of a transformation.
    """
    check_chain(net)
    return partial(_call, function, *nnx.split(net))


@partial(jax.jit, static_argnums=(0, 1))
def _call(
    function: Callable[..., Any], graph: nnx.GraphDef, state: Any, *arrays: Any
) -> Any:
    return function(nnx.merge(graph, state), *arrays)
