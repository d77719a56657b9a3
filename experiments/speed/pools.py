"""Max pooling of 128 maps of 32 × 32 pixels and 32 channels: forward, and gradient."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen import max_pool as flax_max_pool

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries import pytorch
from experiments.speed.shapes import Op
from experiments.speed.timing import Times, installed, show_times, take_turns

WINDOWS_AND_STRIDES = ((2, 2), (3, 2), (3, 1))


def pools(config: Config, page: report.Page) -> dict[str, Times]:
    """Times max pooling here, in Flax and in PyTorch."""
    x = jnp.asarray(Op(128, (32, 32), 32, 1, (1, 1)).arrays()[0])
    times = {}
    for window, stride in WINDOWS_AND_STRIDES:
        calls = _calls(x, window, stride)
        for i, operation in enumerate(("y", "dx")):
            turns = {library: each[i] for library, each in calls.items()}
            row = f"{window}² s{stride} {operation}"
            times[row] = take_turns(turns, config.rounds)
    note = "y: forward. dx: forward and backward."
    show_times(page, "Max pooling", times, note=note)
    return times


def _calls(x: jax.Array, window: int, stride: int) -> dict[str, list[Callable]]:
    """Library → the forward pass, and forward and backward pass."""
    size, steps = (window, window), (stride, stride)
    functions: dict[str, Any] = {
        "cnn_jax": partial(F.max_pool, window=size, stride=stride),
        "Flax": partial(flax_max_pool, window_shape=size, strides=steps),
    }
    calls = {
        library: [
            _compiled_call(pool, x),
            _compiled_call(jax.grad(lambda x, pool=pool: pool(x).sum()), x),
        ]
        for library, pool in functions.items()
    }
    if installed("PyTorch"):
        calls["PyTorch"] = pytorch.pool_calls(x, window, stride)
    return calls


def _compiled_call(function: Callable, x: jax.Array) -> Callable[[], Any]:
    jitted = jax.jit(function, compiler_options=cnn_jax.compiler_options())
    compiled = jitted.lower(x).compile()
    return lambda: compiled(x).block_until_ready()
