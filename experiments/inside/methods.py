"""The methods that are examined, each from a network and inputs to a map."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import explain
from cnn_jax.nn import Chain

RANDOM, INPUT = "random map", "the input itself"  # Controls, which read no network.
Scores = Callable[..., Array]  # From a network, inputs and classes.


def methods(shape: tuple[int, ...], baseline: float) -> dict[str, Scores]:
    """Name → method, with a score for every position of an input.

    Args:
        shape: Of an input. Rows of a table have no class activation maps.
        baseline: The value of an input without information.
    """
    window = (1,) if len(shape) == 1 else tuple(max(2, n // 8) for n in shape[:-1])
    stride = None if len(shape) == 1 else tuple(max(1, k // 2) for k in window)
    integrated = partial(explain.integrated_gradients, baseline=baseline, steps=32)
    smooth = partial(explain.smooth_grad, jax.random.key(0), samples=16)
    found: dict[str, Callable[..., Any]] = {
        "saliency": explain.saliency,
        "integrated gradients": integrated,
        "SmoothGrad": smooth,
        "occlusion": partial(
            explain.occlusion, window=window, stride=stride, value=baseline
        ),
        "Grad-CAM": explain.grad_cam,
        "HiResCAM": explain.hires_cam,
        "guided backpropagation": explain.guided_backprop,
        INPUT: partial(_input_itself, baseline),
    }
    if len(shape) == 1:
        del found["Grad-CAM"], found["HiResCAM"]
    return {
        name: partial(_per_position, call, len(shape)) for name, call in found.items()
    }


def _input_itself(baseline: float, net: Chain, x: Array, target: Array) -> Array:
    """How far every number is from the baseline."""
    return jnp.abs(x - baseline)


def _per_position(
    call: Callable[..., Any], axes: int, net: Chain, x: Array, target: Array
) -> Array:
    """The scores of a method, summed over channels."""
    found = jax.tree.leaves(call(net, x, target))[0]
    has_channels = axes > 1 and found.shape == x.shape
    return found.sum(axis=-1) if has_channels else found


def maps_of(
    scores: Scores, net: Chain, x: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """The maps of a method for the given classes, compiled."""
    run = explain.compiled(scores, net)
    return np.asarray(run(jnp.asarray(x), jnp.asarray(target)))


def random_maps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Independent normal scores."""
    return rng.standard_normal(shape).astype(np.float32)
