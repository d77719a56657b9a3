"""The methods of attribution by name, as the command line offers them."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax import explain
from cnn_jax.nn import Chain

Method = Literal[
    "integrated_gradients",
    "saliency",
    "smooth_grad",
    "occlusion",
    "grad_cam",
    "hires_cam",
    "guided_backprop",
]
METHODS: tuple[str, ...] = get_args(Method)
WINDOWS = 12  # The number of occluders along an axis of a picture.
PARTS = 40  # The number of occluders along a wave.
TOLERANCE = 0.02  # Of the completeness of integrated gradients.
MAX_STEPS = 400  # Where their steps are no longer doubled.
WARNING = (
    "Warning: guided backpropagation restores edges of the input. Its maps hardly "
    "change when the weights are randomised, so they do not explain what was learned."
)


def scores_of(
    method: str, net: Chain, x: Array, target: Any, baseline: Any
) -> explain.Integrated:
    """The scores of a method, summed over channels, and its completeness error.

    Args:
        method: One of `METHODS`.
        net: The network, in evaluation mode.
        x: Inputs, (inputs, …).
        target: A class for each.
        baseline: What stands for "nothing".

    Returns:
        Scores for every position, and the error, which is NaN for methods that are not
        complete.
    """
    call: dict[str, Callable[..., Any]] = {
        "integrated_gradients": partial(
            explain.integrated_gradients,
            baseline=baseline,
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
        ),
        "saliency": explain.saliency,
        "smooth_grad": partial(explain.smooth_grad, jax.random.key(0)),
        "occlusion": partial(
            explain.occlusion, window=_window(x.shape[1:]), value=baseline
        ),
        "grad_cam": explain.grad_cam,
        "hires_cam": explain.hires_cam,
        "guided_backprop": explain.guided_backprop,
    }
    found = call[method](net, x, target)
    if not isinstance(found, explain.Integrated):
        found = explain.Integrated(found, jnp.full(len(x), jnp.nan))
    has_channels = found.attributions.shape == x.shape and x.ndim > 2
    scores = found.attributions.sum(axis=-1) if has_channels else found.attributions
    return explain.Integrated(scores, found.error)


def _window(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Occluders: single columns of a table, squares of a picture."""
    return (1,) if len(shape) == 1 else tuple(-(-n // WINDOWS) for n in shape[:-1])


def wave_scores(method: str, net: Chain, x: Array, target: Any) -> tuple[Array, str]:
    """Scores down to the samples of a wave, and the method that found them.

    Integrals from silence do not fit networks that do not depend on the loudness, and
    class activation maps lie in the picture: there, parts of the wave are silenced.

    Args:
        method: One of `METHODS`.
        net: The network, in evaluation mode.
        x: Waves, (waves, samples).
        target: A class for each.
    """
    if method in ("saliency", "smooth_grad", "guided_backprop"):
        return scores_of(method, net, x, target, 0.0).attributions, method
    window = (max(1, x.shape[-1] // PARTS),)
    return explain.occlusion(net, x, target, window=window), "occlusion"
