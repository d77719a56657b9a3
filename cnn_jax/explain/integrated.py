"""Integrated gradients: attributions that sum to the difference of two logits."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.explain.inputs import Network, as_baseline, gradient, prepared, select
from cnn_jax.functional.checks import Number, whole


class Integrated(NamedTuple):
    """What `integrated_gradients` returns.

    Attributes:
        attributions: A score for every number of the inputs.
        error: Completeness error of each input: the sum of its attributions less
            f(x) − f(baseline), in units of the logit.
    """

    attributions: Array
    error: Array


def integrated_gradients(
    f: Network,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    baseline: Any = 0.0,
    steps: int = 50,
    tolerance: Number | None = None,
    max_steps: int = 1600,
) -> Integrated:
    """Integral of the gradient on the straight line from a baseline to the input.

        score[i] = (x[i] − b[i]) · ∫₀¹ ∂ f(b + α·(x − b))[target] / ∂ x[i] dα

    by the Gauss–Legendre rule. The scores sum to f(x)[target] − f(b)[target] up to
    the completeness error, which is returned. One gradient is held at a time, so that
    memory does not depend on the number of steps.

    Args:
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs: images, signals, spectrograms or rows of a table.
        target: A class for all inputs, one for each, or None for the largest logit.
        baseline: A number, one input or as many as `x`, which stand for "nothing".
        steps: The number of gradients on the line.
        tolerance: If given, `steps` is doubled until the completeness error of every
            input is at most this fraction of |f(x) − f(b)|.
        max_steps: Where doubling ends in any case; the error tells whether it did.

    Returns:
        The attributions, with the shape of `x`, and the completeness error.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `baseline` has another shape,
            `steps` is below 1, or `f` is in training mode.

    Example:
        >>> square = lambda x: x**2 @ jnp.ones((2, 1))
        >>> integrated_gradients(square, jnp.array([1.0, 3.0]), 0, steps=1)
        Integrated(attributions=Array([1., 9.], dtype=float32),
                   error=Array(0., dtype=float32))

    Source:
        Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", 2017,
        arXiv:1703.01365, equation 1 and proposition 1.
    """
    whole(steps, "steps", minimum=1)
    x, target = prepared(f, x, target)
    base = as_baseline("baseline", baseline, x, target.ndim)
    rules = _rules(steps, tolerance, max_steps)
    difference = select(f(x), target) - select(f(base), target)

    def run(level: Any) -> Integrated:
        nodes, weights, counts = (jnp.asarray(part) for part in rules)

        def add(i: Any, total: Array) -> Array:
            alpha = nodes[level, i].astype(x.dtype)
            slope = gradient(f, base + alpha * (x - base), target)
            return total + weights[level, i].astype(x.dtype) * slope

        count = counts[level] if len(rules[2]) > 1 else int(rules[2][0])
        mean = lax.fori_loop(0, count, add, jnp.zeros_like(x))
        scores = (x - base) * mean
        axes = tuple(range(target.ndim, x.ndim))
        return Integrated(scores, jnp.sum(scores, axis=axes) - difference)

    if tolerance is None:
        return run(0)

    def too_large(state: tuple[Array, Integrated]) -> Array:
        level, found = state
        bad = jnp.any(jnp.abs(found.error) > tolerance * jnp.abs(difference))
        return bad & (level + 1 < len(rules[2]))

    def doubled(state: tuple[Array, Integrated]) -> tuple[Array, Integrated]:
        return state[0] + 1, run(state[0] + 1)

    return lax.while_loop(too_large, doubled, (jnp.int32(0), run(jnp.int32(0))))[1]


def _rules(
    steps: int, tolerance: Number | None, max_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1] of every doubling, padded with 0, and their counts.

    The nodes are in float64, and become the dtype of the input when they are used.
    """
    counts = [steps]
    while tolerance is not None and 2 * counts[-1] <= max_steps:
        counts.append(2 * counts[-1])
    nodes, weights = np.zeros((2, len(counts), counts[-1]))
    for level, count in enumerate(counts):
        points, sizes = np.polynomial.legendre.leggauss(count)
        nodes[level, :count], weights[level, :count] = (points + 1) / 2, sizes / 2
    return nodes, weights, np.array(counts)
