"""Chapter 6: two ways to find weights, nudging and automatic differentiation."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree

from cnn_jax import data, report, tasks, training
from cnn_jax.models import xo_net
from experiments._shared import compiled
from experiments.xo.config import Config

LEARNING_RATE = 0.1  # Of gradient descent.
NUDGE = 0.02  # Change of a weight in a sweep.
SLOPE_NUDGE = 0.01  # Change of a weight when slopes are measured.

Curve = tuple[np.ndarray, np.ndarray]  # Seconds and errors, at the start and per step.


@dataclass(frozen=True)
class Comparison:
    """Nudging compared with automatic differentiation.

    Args:
        weights: Number of weights.
        slope_cosine: Cosine between the slopes from nudging and the gradient.
        sweep_cosine: Cosine between the step of one sweep and the gradient.
        errors: Method → seconds and errors.
    """

    weights: int
    slope_cosine: float
    sweep_cosine: float
    errors: dict[str, Curve]


def nudging(page: report.Page, config: Config) -> tuple[float, dict[str, Curve]]:
    """Adds the comparison of nudging with automatic differentiation."""
    page.section("6. How the weights are found")
    comparison = _compare(config)
    page.text(
        f"A small network with {comparison.weights} weights reads 100 pictures of "
        "9 × 9 pixels. Nudging measures the error with each weight a little higher and "
        "a little lower, and keeps the better value. Automatic differentiation "
        "measures the error once and goes back through the network once. The slopes "
        f"from nudges of {SLOPE_NUDGE} and the gradient point in the same direction: "
        f"their cosine is {comparison.slope_cosine:.6f}. One sweep of nudges of "
        f"{NUDGE} moves every weight by the same amount, so the cosine between its "
        f"step and the gradient is {comparison.sweep_cosine:.2f} only."
    )
    _table(page, comparison)
    _curves(page, comparison.errors)
    return comparison.slope_cosine, comparison.errors


def _compare(config: Config) -> Comparison:
    """Trains one small network by nudging, and again by its gradient."""
    error, weights = _error_of_weights(config)
    sweep = compiled(lambda w: training.nudge(error, w, NUDGE))
    slope = compiled(lambda w: training.difference_gradient(error, w, SLOPE_NUDGE))
    gradient, measure = compiled(jax.grad(error)), compiled(error)

    def descend(w: jax.Array) -> jax.Array:
        return w - LEARNING_RATE * gradient(w)

    return Comparison(
        weights=weights.size,
        slope_cosine=_cosine(slope(weights), gradient(weights)),
        sweep_cosine=_cosine(weights - sweep(weights), gradient(weights)),
        errors={
            "nudging": _repeat(sweep, measure, weights, config.sweeps),
            "automatic differentiation": _repeat(
                descend, measure, weights, 20 * config.sweeps
            ),
        },
    )


def _error_of_weights(config: Config) -> tuple[Callable, jax.Array]:
    """The mean loss of a small network as a function of its weights, and the first."""
    rngs = nnx.Rngs(config.seed)
    net = xo_net(size=9, features=(2, 4), window=3, rngs=rngs)
    rng = np.random.default_rng(config.seed)
    examples = data.draw_xo(rng, 100, size=9, strength=0.5)
    images, labels = jnp.asarray(examples["image"]), jnp.asarray(examples["label"])
    graph, params = nnx.split(net)
    weights, unravel = ravel_pytree(params)

    def error(weights: jax.Array) -> jax.Array:
        logits = nnx.merge(graph, unravel(weights))(images)
        return tasks.cross_entropy(logits, labels).mean()

    return error, weights


def _cosine(a: jax.Array, b: jax.Array) -> float:
    return float(a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))


def _repeat(step: Callable, error: Callable, weights: jax.Array, steps: int) -> Curve:
    """Seconds spent in the steps, and the error, at the start and after each step."""
    jax.block_until_ready(step(weights))  # Compiles.
    seconds, errors = [0.0], [float(error(weights))]
    for _ in range(steps):
        began = time.perf_counter()
        weights = jax.block_until_ready(step(weights))
        seconds.append(seconds[-1] + time.perf_counter() - began)
        errors.append(float(error(weights)))
    return np.array(seconds), np.array(errors)


def _table(page: report.Page, comparison: Comparison) -> None:
    passes = {"nudging": 2 * comparison.weights + 1, "automatic differentiation": 3}
    rows = []
    for name, (seconds, errors) in comparison.errors.items():
        milliseconds = 1e3 * seconds[-1] / (len(seconds) - 1)
        first, last = f"{errors[0]:.3f}", f"{errors[-1]:.3f}"
        rows.append([name, str(passes[name]), f"{milliseconds:.2f}", first, last])
    page.table(
        ["", "passes per step", "ms per step", "error before", "after"],
        rows,
        caption="One pass is one run through the network; a backward pass counts as 2.",
    )


def _curves(page: report.Page, errors: dict[str, Curve]) -> None:
    lines = {
        name: (1e3 * seconds[1:], values[1:], np.zeros(len(seconds) - 1))
        for name, (seconds, values) in errors.items()
    }
    axes: dict[str, Any] = {"x": "milliseconds", "y": "error"}
    page.figure(
        report.curves({"error over time": lines}, **axes, log_x=True, log_y=True),
        "Both reduce the error; the cost of nudging grows with the number of weights.",
    )
