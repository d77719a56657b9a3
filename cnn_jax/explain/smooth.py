"""SmoothGrad: the mean of a method's scores over noisy copies of the input."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.explain.inputs import Network, prepared
from cnn_jax.explain.saliency import saliency
from cnn_jax.functional.checks import Number, whole


def smooth_grad(
    key: Array,
    f: Network,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    samples: int = 50,
    noise: Number = 0.15,
    method: Callable[..., Any] = saliency,
) -> Any:
    """Mean of the scores of a method over copies of the input with normal noise.

        score = (1 / n) · Σ method(f, x + ε, target),  ε ~ N(0, (noise · range of x)²)

    One copy is held at a time, so that memory does not depend on `samples`.

    Args:
        key: Of the noise.
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs: images, signals, spectrograms or rows of a table.
        target: A class for all inputs, one for each, or None for the largest logit of
            the input without noise.
        samples: The number of copies, n.
        noise: Standard deviation of the noise, over the range of each input.
        method: Any function of (f, x, target) that returns scores, or a tuple of them,
            such as `integrated_gradients`; options by `functools.partial`.

    Returns:
        The mean of what `method` returns.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `samples` is below 1, `noise` is
            negative, or `f` is in training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[1.0], [-2.0]])
        >>> smooth_grad(jax.random.key(0), f, jnp.array([5.0, 7.0]), samples=2)
        Array([ 1., -2.], dtype=float32)

    Source:
        Smilkov, Thorat, Kim, Viégas & Wattenberg, "SmoothGrad: removing noise by adding
        noise", 2017, arXiv:1706.03825, section 3.
    """
    whole(samples, "samples", minimum=1)
    if noise < 0:
        raise ValueError(f"`noise` is {noise}, but must be at least 0.")
    x, target = prepared(f, x, target)
    axes = tuple(range(target.ndim, x.ndim))
    deviation = noise * jnp.ptp(x, axis=axes, keepdims=True)

    def add(total: Any, key: Array) -> tuple[Any, None]:
        noisy = x + deviation * jax.random.normal(key, x.shape, x.dtype)
        return jax.tree.map(jnp.add, total, method(f, noisy, target)), None

    shapes = jax.eval_shape(lambda x: method(f, x, target), x)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    total, _ = lax.scan(add, zeros, jax.random.split(key, samples))
    return jax.tree.map(lambda scores: scores / samples, total)
