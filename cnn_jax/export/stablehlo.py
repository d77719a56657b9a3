"""StableHLO: a compiled program that needs JAX alone."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import nn
from cnn_jax.export.network import (
    check_equal,
    evaluated,
    outputs_of,
    random_input,
    with_preprocessing,
)
from cnn_jax.models.extras import required
from cnn_jax.models.preprocessing import Normalize

CONSTANTS = 2**24  # Bytes of weights up to which they are constants of the program.


def stablehlo(
    net: nn.Chain,
    shape: Sequence[int],
    *,
    normalize: Normalize | None = None,
    max_constants: int = CONSTANTS,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> bytes:
    """A network as a serialized program for several kinds of devices, for evaluation.

    It runs where JAX is installed, without this package, for every batch size:

        program = jax.export.deserialize(bytearray(data))
        logits = program.call(x)  # small networks
        logits = program.call(dict(numpy.load("weights.npz")), x)  # large ones

    Weights above `max_constants` bytes are an argument, because constants lie twice in
    memory while the program is compiled; `weights_of` returns them.

    Args:
        net: The network. Heads are left out.
        shape: The shape of one input, channels last.
        normalize: Makes the input bytes, and normalizes them first.
        max_constants: The size of all weights in bytes up to which they are constants.
        platforms: The kinds of devices, as JAX names them.

    Returns:
        The serialized program. JAX reads it for at least six months of later versions.

    Raises:
        ValueError: If a stage refuses its input.
        ModuleNotFoundError: If the extra `stablehlo` is not installed, whose
            `flatbuffers` JAX needs to serialize.

    Example:
        >>> net = nn.Chain({"classifier": nn.Dense(3, 2, rngs=nnx.Rngs(0))})
        >>> data = stablehlo(net, (3,))  # doctest: +SKIP
        >>> program = jax.export.deserialize(bytearray(data))  # doctest: +SKIP

    Source:
        JAX, "Exporting and serializing staged-out computations".
    """
    net = with_preprocessing(net, normalize)
    graph, state = evaluated(net)
    dtype = jnp.float32 if normalize is None else jnp.uint8
    (batch,) = jax.export.symbolic_shape("batch")
    x = jax.ShapeDtypeStruct((batch, *shape), dtype)
    weights = weights_of(net)

    def call(weights: dict[str, Any], x: Any) -> Any:
        return nnx.merge(graph, _filled(state, weights))(x)

    if sum(array.nbytes for array in weights.values()) > max_constants:
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), weights)
        return _exported(call, platforms, shapes, x)
    constants = jax.tree.map(jnp.asarray, weights)
    return _exported(lambda x: call(constants, x), platforms, x)


def _exported(function: Any, platforms: Sequence[str], *arguments: Any) -> bytes:
    required("flatbuffers", "stablehlo", "StableHLO programs")
    exported = jax.export.export(jax.jit(function), platforms=tuple(platforms))
    return bytes(exported(*arguments).serialize())


def weights_of(net: nn.Chain) -> dict[str, np.ndarray]:
    """The weights and batch statistics of a network by their path.

    Args:
        net: The network.

    Returns:
        Arrays, as `numpy.savez` takes them and a program of `stablehlo` with weights as
        its argument.

    Example:
        >>> from cnn_jax import models
        >>> net = models.build("xo_net", rngs=nnx.Rngs(0))
        >>> weights_of(net)["stages/conv1/kernel"].shape
        (3, 3, 1, 8)

    Source:
        Flax, `nnx.to_flat_state`.
    """
    state = nnx.state(net, (nnx.Param, nnx.BatchStat))
    return {
        "/".join(map(str, path)): np.asarray(variable[...])
        for path, variable in nnx.to_flat_state(state)
    }


def _filled(state: nnx.State, weights: dict[str, Any]) -> nnx.State:
    """The state with these weights."""
    flat = [
        (path, variable.replace(weights.get("/".join(map(str, path)), variable[...])))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.from_flat_state(flat)


def check_stablehlo(
    data: bytes,
    net: nn.Chain,
    shape: Sequence[int],
    *,
    normalize: Normalize | None = None,
) -> float:
    """Reads and runs a program, and compares it with its network.

    Args:
        data: What `stablehlo` returned.
        net: The network.
        shape: As it was given to `stablehlo`.
        normalize: As it was given to `stablehlo`.

    Returns:
        The relative difference of the outputs for random inputs.

    Raises:
        ValueError: If it is larger than 1e-4.
    """
    program = jax.export.deserialize(bytearray(data))
    x = random_input(shape, np.float32 if normalize is None else np.uint8)
    net = with_preprocessing(net, normalize)
    weights = [weights_of(net)] * takes_weights(data)
    got = np.asarray(program.call(*weights, jnp.asarray(x)))
    return check_equal("the program", got, outputs_of(net, x))


def takes_weights(data: bytes) -> bool:
    """Whether a program takes weights as its first argument.

    Args:
        data: What `stablehlo` returned.
    """
    return len(jax.export.deserialize(bytearray(data)).in_avals) > 1
