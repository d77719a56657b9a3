"""A pure train step for Flax NNX modules, those of this library and of stock Flax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.speed.libraries.networks import Residual

OPTIMIZER = optax.sgd(0.01, momentum=0.9)


class ResidualSum(nnx.Module):
    """The sum of two branches, built by `build(layers, *args)`."""

    def __init__(self, build: Callable, block: Residual, *args: Any):
        self.main = build(block.main, *args)
        self.shortcut = build(block.shortcut, *args) if block.shortcut else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Adds the branches."""
        return self.main(x) + (self.shortcut(x) if self.shortcut else x)


def mean_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean softmax cross-entropy."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def sgd_update(loss: Callable, params: Any, opt_state: Any) -> tuple[Any, jax.Array]:
    """One step of SGD with momentum.

    Args:
        loss: From parameters to the loss and the other state that it changed.
        params: The parameters.
        opt_state: The state of the optimizer.

    Returns:
        The next (params, other state, optimizer state), and the loss before the step.
    """
    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, opt_state = OPTIMIZER.update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), rest, opt_state), value


def nnx_step(net: Any, *, dtype: Any = jnp.float32) -> tuple[Callable, Any]:
    """A pure step over (params, other state, optimizer state), and the first state.

    Weights are stored in float32 and computed with in `dtype`.
    """
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def step(state, x, labels):
        params, rest, opt_state = state

        def loss(params):
            low_precision = jax.tree.map(lambda p: p.astype(dtype), params)
            net = nnx.merge(graph, low_precision, rest, copy=True)
            logits = net(x.astype(dtype)).astype(jnp.float32)
            return mean_loss(logits, labels), nnx.split(net, nnx.Param, ...)[2]

        return sgd_update(loss, params, opt_state)

    return step, (params, rest, OPTIMIZER.init(params))
