"""Calls that train a network by one step, or by several steps in one dispatch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import cnn_jax
from experiments.speed.libraries import flax_nnx, ours
from experiments.speed.libraries.keras_jax import keras_step
from experiments.speed.libraries.networks import Net, batch_of
from experiments.speed.libraries.nnx_step import nnx_step
from experiments.speed.libraries.pytorch import torch_runner

COMPILER_OPTIONS: dict[str, Callable[[], dict[str, str]]] = {
    "cnn_jax": cnn_jax.compiler_options,
    "plain": dict,
    "Flax": dict,
    "Flax−YNN": cnn_jax.compiler_options,
    "Keras": dict,
}


def runner(library: str, net: Net, *, steps: int = 1) -> Callable[[], Any]:
    """A call that trains by so many steps and returns when they are done."""
    if library == "PyTorch":
        return torch_runner(net)
    jitted, (state, x, labels) = jitted_step(library, net, steps=steps)
    compiled = jitted.lower(state, x, labels).compile()
    return _repeated(compiled, jax.tree.map(jnp.copy, state), x, labels)


def jitted_step(library: str, net: Net, *, steps: int = 1) -> tuple[Any, tuple]:
    """The jitted step and its first arguments; several steps are one `lax.scan`."""
    step, state = _jax_step(library, net)
    jitted = jax.jit(
        step if steps == 1 else _scan(step, steps),
        donate_argnums=0,
        compiler_options=COMPILER_OPTIONS[library](),
    )
    return jitted, (state, *map(jnp.asarray, batch_of(net)))


def bfloat16_runner(library: str, net: Net, steps: int) -> Callable[[], Any]:
    """A call that trains in bfloat16 by so many steps in one dispatch.

    Args:
        library: "Flax", "cnn_jax" or "cnn_jax, deterministic".
        net: The network.
        steps: Train steps per call.
    """
    build = flax_nnx.build if library == "Flax" else ours.build
    module = build(net.layers, net.shape, nnx.Rngs(0))
    step, state = nnx_step(module, dtype=jnp.bfloat16)
    x, labels = map(jnp.asarray, batch_of(net))
    options: Any = cnn_jax.compiler_options()
    if library.endswith("deterministic"):
        options = options | {"xla_gpu_deterministic_ops": True}
    jitted = jax.jit(_scan(step, steps), donate_argnums=0, compiler_options=options)
    return _repeated(jitted, state, x.astype(jnp.bfloat16), labels)


def _jax_step(library: str, net: Net) -> tuple[Callable, Any]:
    if library == "Keras":
        return keras_step(net)
    build = ours.build if library in ("cnn_jax", "plain") else flax_nnx.build
    return nnx_step(build(net.layers, net.shape, nnx.Rngs(0)))


def _scan(step: Callable, steps: int) -> Callable:
    def many(state, x, labels):
        return jax.lax.scan(lambda s, _: step(s, x, labels), state, length=steps)

    return many


def _repeated(step: Callable, state: Any, x: Any, labels: Any) -> Callable[[], Any]:
    """A call without arguments, each of which goes on from the state before."""

    def run():
        nonlocal state
        state, loss = step(state, x, labels)
        return jax.block_until_ready(loss)

    return run
