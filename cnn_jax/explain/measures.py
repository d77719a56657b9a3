"""How faithful a map is: curves of covered inputs, and mass where the truth is known.

Maps have a score for every position, (*batch, *spatial), or for every number of the
input.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from cnn_jax.explain.inputs import Network, as_baseline, prepared, select
from cnn_jax.functional.checks import whole

AnyArray = Array | np.ndarray


class Curve(NamedTuple):
    """What `deletion` and `insertion` return.

    Attributes:
        fractions: The fraction of the positions that are changed, from 0 to 1.
        values: Probability of the target at each of them, (*batch, fractions).
        area: Under the curve, by trapezoids, (*batch,).
    """

    fractions: Array
    values: Array
    area: Array


def deletion(
    f: Network,
    x: Float[AnyArray, "..."],
    scores: Float[AnyArray, "..."],
    target: Any = None,
    *,
    value: Any = 0.0,
    steps: int = 20,
) -> Curve:
    """Probability of the target while the highest scores are covered, then all others.

        values[k] = softmax(f(x without the k / steps highest positions))[target]

    The smaller the area, the more the network needs what the map marks.

    Args:
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs.
        scores: A score for every position or for every number of `x`.
        target: A class for all inputs, one for each, or None for the largest logit.
        value: What takes the values of covered positions: a number, one input or as
            many as `x`.
        steps: The number of steps from the whole input to none of it.

    Returns:
        The curve and its area. A network with one output has no probabilities: its
        output is the value.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `scores` or `value` has another
            shape, `steps` is below 1, or `f` is in training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[4.0, 0.0], [0.0, 0.0]])
        >>> x = jnp.ones(2)
        >>> deletion(f, x, jnp.array([1.0, 0.0]), 0, steps=2).values > 0.5
        Array([ True, False, False], dtype=bool)

    Source:
        Petsiuk, Das & Saenko, "RISE: randomized input sampling for explanation of
        black-box models", 2018, arXiv:1806.07421, section 4.2.
    """
    return _curve(f, x, scores, target, value, steps, inserted=False)


def insertion(
    f: Network,
    x: Float[AnyArray, "..."],
    scores: Float[AnyArray, "..."],
    target: Any = None,
    *,
    value: Any = 0.0,
    steps: int = 20,
) -> Curve:
    """Probability of the target while the highest scores appear, then all others.

        values[k] = softmax(f(only the k / steps highest positions of x))[target]

    The larger the area, the more what the map marks suffices.

    Args:
        f: From inputs (*batch, …) to logits (*batch, classes); in evaluation mode.
        x: Inputs.
        scores: A score for every position or for every number of `x`.
        target: A class for all inputs, one for each, or None for the largest logit.
        value: What takes the values of covered positions, as for `deletion`.
        steps: The number of steps from nothing of the input to all of it.

    Returns:
        The curve and its area, as `deletion` does.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `scores` or `value` has another
            shape, `steps` is below 1, or `f` is in training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[4.0, 0.0], [0.0, 0.0]])
        >>> x = jnp.ones(2)
        >>> insertion(f, x, jnp.array([1.0, 0.0]), 0, steps=2).values > 0.5
        Array([False,  True,  True], dtype=bool)

    Source:
        Petsiuk, Das & Saenko, 2018, arXiv:1806.07421, section 4.2.
    """
    return _curve(f, x, scores, target, value, steps, inserted=True)


def _curve(
    f: Network, x: Any, scores: Any, target: Any, value: Any, steps: int, inserted: bool
) -> Curve:
    """The curve over the number of positions that are covered or shown."""
    whole(steps, "steps", minimum=1)
    x, target = prepared(f, x, target)
    scores, base = jnp.asarray(scores), as_baseline("value", value, x, target.ndim)
    if scores.shape not in (x.shape, x.shape[:-1]) or scores.ndim <= target.ndim:
        raise ValueError(
            f"`scores` has shape {scores.shape}, but must be {x.shape[:-1]}, with a "
            f"score for every position, or {x.shape}."
        )
    flat = scores.reshape(*target.shape, -1)
    order = jnp.argsort(jnp.argsort(-flat, axis=-1, stable=True), axis=-1)
    fractions = jnp.linspace(0, 1, steps + 1)

    def probability(fraction: Array) -> Array:
        count = jnp.round(fraction * flat.shape[-1]).astype(order.dtype)
        chosen = (order < count).reshape(scores.shape)
        chosen = chosen if chosen.ndim == x.ndim else chosen[..., None]
        shown = jnp.broadcast_to(chosen == inserted, x.shape)
        logits = f(jnp.where(shown, x, base))
        found = jax.nn.softmax(logits) if logits.shape[-1] > 1 else logits
        return select(found, target)

    values = jnp.moveaxis(jax.lax.map(probability, fractions), 0, -1)
    return Curve(fractions, values, jnp.trapezoid(values, dx=1 / steps, axis=-1))


def pointing_game(
    scores: Float[AnyArray, "..."], mask: Bool[AnyArray, "..."], *, spatial: int = 2
) -> Bool[Array, "..."]:
    """Whether the largest score lies where it should.

    Args:
        scores: A score for every position, (*batch, *spatial).
        mask: Where the truth is, of the same shape.
        spatial: The number of spatial axes.

    Returns:
        One answer for each input. Of several largest scores the first counts; nothing
        is hit by a map that is zero everywhere.

    Raises:
        TypeError: If `mask` is not boolean.
        ValueError: If the shapes differ, or have fewer than `spatial` axes.

    Example:
        >>> pointing_game(jnp.array([1.0, 3.0]), jnp.array([False, True]), spatial=1)
        Array(True, dtype=bool)

    Source:
        Zhang et al., "Top-down neural attention by excitation backprop", 2016,
        arXiv:1608.00507, section 4.1.
    """
    flat, inside = _flat(scores, mask, spatial)
    first = jnp.argmax(flat, axis=-1)[..., None]
    hit = jnp.take_along_axis(inside, first, axis=-1)[..., 0]
    return hit & jnp.any(flat != 0, axis=-1)


def mass_inside(
    scores: Float[AnyArray, "..."], mask: Bool[AnyArray, "..."], *, spatial: int = 2
) -> Float[Array, "..."]:
    """Share of a map's mass that lies where it should.

        share = Σ_{i in mask} |score[i]| / Σ_i |score[i]|

    A map of independent random scores has the share of the mask's area.

    Args:
        scores: A score for every position, (*batch, *spatial).
        mask: Where the truth is, of the same shape.
        spatial: The number of spatial axes.

    Returns:
        One share for each input; NaN for a map that is zero everywhere.

    Raises:
        TypeError: If `mask` is not boolean.
        ValueError: If the shapes differ, or have fewer than `spatial` axes.

    Example:
        >>> mass_inside(jnp.array([1.0, -3.0]), jnp.array([False, True]), spatial=1)
        Array(0.75, dtype=float32)

    Source:
        Arras, Osman & Samek, "CLEVR-XAI: a benchmark dataset for the ground truth
        evaluation of neural network explanations", 2020, arXiv:2003.07258, equation 1,
        there for positive relevance.
    """
    flat, inside = _flat(scores, mask, spatial)
    mass = jnp.abs(flat)
    return jnp.sum(jnp.where(inside, mass, 0), axis=-1) / jnp.sum(mass, axis=-1)


def _flat(scores: Any, mask: Any, spatial: int) -> tuple[Array, Array]:
    """Scores and mask with one axis for all positions."""
    scores, mask = jnp.asarray(scores), jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"`mask` is {mask.dtype}, but must be boolean.")
    if scores.shape != mask.shape or scores.ndim < spatial:
        raise ValueError(
            f"`scores` has shape {scores.shape} and `mask` {mask.shape}, but both must "
            f"be (*batch, *spatial) with {spatial} spatial axes; sum scores over "
            "channels first."
        )
    shape = (*scores.shape[: scores.ndim - spatial], -1)
    return scores.reshape(shape), mask.reshape(shape)
