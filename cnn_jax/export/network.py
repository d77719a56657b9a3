"""A network as a pure function, as every export begins with it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import nn
from cnn_jax.models.preprocessing import Normalize

TOLERANCE = 1e-4  # Of max|a − b| / max|b|, between an export and its source.


def with_preprocessing(net: nn.Chain, normalize: Normalize | None) -> nn.Chain:
    """The network, which reads bytes if there is a stage that normalizes them."""
    if normalize is None:
        return net
    stages = {name: net.stages[name] for name in net.names}
    if "pixels" in stages:
        raise ValueError("the network has a stage 'pixels' already: rename it.")
    return nn.Chain({"pixels": normalize, **stages})


def evaluated(net: nn.Chain) -> tuple[nnx.GraphDef, nnx.State]:
    """The graph and the state of a network in evaluation mode, without RNG state."""
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.split(nnx.view(net, raise_if_not_found=False, **modes))


def outputs_of(net: nn.Chain, x: np.ndarray) -> np.ndarray:
    """The outputs of the network in evaluation mode."""
    graph, state = evaluated(net)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    return np.asarray(run(state, jnp.asarray(x)))


def random_input(shape: Sequence[int], dtype: Any, *, batch: int = 3) -> np.ndarray:
    """Inputs to compare an export with its source: bytes, or normal numbers."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype) == np.uint8:
        return rng.integers(256, size=(batch, *shape), dtype=np.uint8)
    return rng.normal(size=(batch, *shape)).astype(dtype)


def check_equal(what: str, got: np.ndarray, wanted: np.ndarray) -> float:
    """Refuses an export whose outputs are not those of its source.

    Args:
        what: The export, for the message.
        got: Its outputs.
        wanted: Those of the source.

    Returns:
        The relative difference, max|a − b| / max|b|.

    Raises:
        ValueError: If it is larger than 1e-4, or an output is not finite.
    """
    scale = max(float(np.abs(wanted).max()), 1e-30)
    difference = float(np.abs(got.astype(np.float64) - wanted).max()) / scale
    if not difference <= TOLERANCE:
        raise ValueError(
            f"the outputs of {what} differ from those of the network by "
            f"{difference:.1e}, more than {TOLERANCE:.0e}: it is not written."
        )
    return difference
