"""Images that a unit is excited by most, found by gradient ascent."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array, lax

import cnn_jax.functional as F
from cnn_jax.explain import parameters as P
from cnn_jax.explain.guided import redirected_relu, with_relu
from cnn_jax.explain.inputs import check_chain, check_network, is_known
from cnn_jax.functional.checks import Number, whole
from cnn_jax.nn import Chain

Over = Literal["max", "mean"]


class Maximized(NamedTuple):
    """Images and how much they excite their units.

    Attributes:
        images: One per unit, (*units, *shape).
        activations: Of each unit, at the position of its maximum, (*units,).
    """

    images: Array
    activations: Array


def maximize(
    key: Array,
    net: Chain,
    cut: str,
    unit: int | Sequence[int],
    *,
    shape: Sequence[int],
    low: Number = -1.0,
    high: Number = 1.0,
    steps: int = 256,
    learning_rate: Number = 0.1,
    decay: Number = 1.0,
    jitter: int = 2,
    over: Over = "max",
) -> Maximized:
    """Gradient ascent from noise to an image that excites a unit.

        image = low + (high − low) · σ(colours · F⁻¹(coefficients / frequency^decay))

    Adam changes the Fourier coefficients of decorrelated colours, which makes smooth
    images as likely as fine patterns. At every step the image is shifted at random, in
    a circle. Gradients also pass through ReLUs that are off and would be switched on,
    so that a unit behind a ReLU does not leave the image grey. The best of all steps
    is returned.

    Args:
        key: Of the start and the shifts; the same key gives the same image.
        net: The network, in evaluation mode.
        cut: The stage of the unit.
        unit: A channel of its output, or several, which are computed together.
        shape: Of an input: (*spatial, channels); (samples,) for audio and (columns,)
            for tables.
        low: The smallest value of an input.
        high: The largest value of an input.
        steps: Steps of the ascent.
        learning_rate: Of Adam.
        decay: Falls of coefficients with the frequency; 0 for inputs whose positions
            have no order, such as tables.
        jitter: The largest shift, in positions; none for tables.
        over: Whether a unit with several positions counts by its largest activation, as
            in `top_examples`, or by the mean of all, which fills the image.

    Returns:
        Images in the range of inputs, and their activations without shift.

    Raises:
        TypeError: If `net` is no Chain, or `unit` is no whole number.
        ValueError: If there is no such stage or unit, an option is out of range, a unit
            is 0 for its image, or `net` is in training mode.

    Example:
        >>> net = Chain({"difference": lambda x: x[..., :1] - x[..., 1:]})
        >>> found = maximize(jax.random.key(0), net, "difference", 0, shape=(4, 5, 2))
        >>> found.images.shape, bool(found.activations > 1.5)
        ((4, 5, 2), True)

    Source:
        Olah, Mordvintsev & Schubert, "Feature visualization", Distill, 2017, section
        "Preconditioning and parameterization".
    """
    whole(jitter, "jitter", minimum=0)
    shape, channels = _checked(net, low, high, steps, shape)
    draw = partial(P.draw_coefficients, shape=channels)

    def image_of(parameters: Any) -> Array:
        return P.in_range(P.from_coefficients(parameters, channels, decay), low, high)

    def view(key: Array, i: Array, images: Array) -> Array:
        axes = tuple(range(-len(channels), -1))
        shifts = jax.random.randint(key, (len(axes),), -jitter, jitter + 1)
        return jnp.roll(images, shifts, axis=axes)

    ascent = _Ascent(
        draw, image_of, view, optax.adam(learning_rate), steps, over, shape
    )
    return _maximized(ascent, key, net, cut, unit)


def maco(
    key: Array,
    net: Chain,
    cut: str,
    unit: int | Sequence[int],
    *,
    shape: Sequence[int],
    magnitude: Any = None,
    low: Number = -1.0,
    high: Number = 1.0,
    steps: int = 256,
    learning_rate: Number = 1.0,
    crops: int = 8,
    sides: tuple[Number, Number] = (1.0, 0.5),
    noise: Number = 0.08,
    over: Over = "max",
) -> Maximized:
    """Gradient ascent in the phases of an image alone, with natural magnitudes.

        image = low + (high − low) · σ(colours · F⁻¹(magnitude · exp(i · phase)))

    The power in every frequency stays that of `magnitude`, so that no unnatural pattern
    can win. The unit reads random square crops of the image with noise, which become
    smaller from step to step.

    Args:
        key: Of the start, the crops and the noise; the same key gives the same image.
        net: The network, in evaluation mode.
        cut: The stage of the unit.
        unit: A channel of its output, or several, which are computed together.
        shape: Of an input, (height, width, channels).
        magnitude: Of the coefficients of decorrelated images, as `magnitudes` returns
            it; by default 1 / frequency.
        low: The smallest value of an input.
        high: The largest value of an input.
        steps: Steps of the ascent.
        learning_rate: Of NAdam.
        crops: Crops at every step; 0 for the whole image, which suits images that are
            no larger than what a unit reads.
        sides: Their mean side at the first and at the last step, over that of the
            image. In the paper, where images have 512 pixels, 0.5 and 0.05.
        noise: Standard deviation of the noise, over half of the range.
        over: As of `maximize`.

    Returns:
        Images in the range of inputs, and their activations without crop and noise.

    Raises:
        TypeError: If `net` is no Chain, or `unit` is no whole number.
        ValueError: If there is no such stage or unit, an option is out of range,
            `shape` is not that of an image, a unit is 0 for its image, or `net` is in
            training mode.

    Example:
        >>> net = Chain({"difference": lambda x: x[..., :1] - x[..., 1:]})
        >>> found = maco(
        ...     jax.random.key(0), net, "difference", 0, shape=(8, 6, 2), steps=20
        ... )
        >>> found.images.shape
        (8, 6, 2)

    Source:
        Fel et al., "Unlocking feature visualization for deeper networks with magnitude
        constrained optimization", 2023, arXiv:2306.06805, section 3.
    """
    whole(crops, "crops", minimum=0)
    shape, channels = _checked(net, low, high, steps, shape)
    if len(shape) != 3:
        raise ValueError(
            f"`shape` is {shape}, but must be (height, width, channels): use "
            "`maximize` for inputs of other kinds."
        )
    if magnitude is None:
        magnitude = P.spectrum_of(shape[:-1], 1.0)[..., None]
    power = jnp.asarray(magnitude, jnp.float32)
    draw = partial(P.draw_phases, shape=channels)

    def image_of(parameters: Any) -> Array:
        return P.in_range(P.from_phases(parameters, channels, power), low, high)

    def view(key: Array, i: Array, images: Array) -> Array:
        where, drawn = jax.random.split(key)
        side = sides[0] + (sides[1] - sides[0]) * i / steps
        seen = _crops(where, images, side, crops) if crops else images
        width = noise * (high - low) / 2
        return seen + width * jax.random.normal(drawn, seen.shape)

    ascent = _Ascent(
        draw, image_of, view, optax.nadam(learning_rate), steps, over, shape
    )
    return _maximized(ascent, key, net, cut, unit)


def magnitudes(images: Any) -> Array:
    """Mean magnitude of every Fourier coefficient of some images, for `maco`.

        magnitude = (1 / n) · Σ |F(colours⁻¹ · image)|

    Args:
        images: (images, height, width, channels), such as of a training split.

    Returns:
        Magnitudes, (height, width // 2 + 1, channels).

    Raises:
        ValueError: If `images` has another number of axes.

    Example:
        >>> magnitudes(np.ones((2, 4, 6, 1))).shape
        (4, 4, 1)

    Source:
        Fel et al., 2023, arXiv:2306.06805, section 3.
    """
    images = jnp.asarray(images, jnp.float32)
    if images.ndim != 4:
        raise ValueError(
            f"`images` has shape {images.shape}, but must be (images, height, width, "
            "channels)."
        )
    if images.shape[-1] == 3:
        inverse = np.linalg.inv(P.COLOURS.T / P.LARGEST)
        images = images @ jnp.asarray(inverse, images.dtype)
    return jnp.mean(jnp.abs(jnp.fft.rfftn(images, axes=(1, 2))), axis=0)


class _Ascent(NamedTuple):
    """How images are made from parameters, and what the network reads of them.

    Images have an axis for channels, which inputs of `shape` may lack.
    """

    draw: Callable[..., Any]
    image_of: Callable[[Any], Array]
    view: Callable[[Array, Array, Array], Array]
    optimizer: optax.GradientTransformation
    steps: int
    over: Over
    shape: tuple[int, ...]

    def excited(self, run: Any, images: Array, units: Array) -> Array:
        """The activation of each unit for its images, (units, …)."""
        batch = images.ndim - max(2, len(self.shape))
        maps = run(images.reshape(*images.shape[:batch], *self.shape))
        wide = units.reshape(-1, *(1,) * (maps.ndim - 1))
        own = jnp.take_along_axis(maps, wide, axis=-1)[..., 0]
        reduce = jnp.max if self.over == "max" else jnp.mean
        return reduce(own, axis=tuple(range(batch, own.ndim)))

    def climb(self, run: Any, key: Array, units: Array) -> tuple[Array, Array]:
        """The best images of all steps, and their activations."""
        first, later = jax.random.split(key)
        parameters = self.draw(first, (len(units),))

        def objective(parameters: Any, i: Array) -> Array:
            images = self.image_of(parameters)
            seen = self.view(jax.random.fold_in(later, i), i, images)
            each = self.excited(run, seen, units).reshape(len(units), -1)
            return jnp.sum(jnp.mean(each, axis=1))

        def step(carry: Any, i: Array) -> tuple[Any, None]:
            parameters, memory, best, highest = carry
            slopes = jax.grad(objective)(parameters, i)
            down = jax.tree.map(jnp.negative, slopes)
            change, memory = self.optimizer.update(down, memory)
            parameters = optax.apply_updates(parameters, change)
            images = self.image_of(parameters)
            now = self.excited(run, images, units)
            better = (now > highest).reshape(-1, *(1,) * (images.ndim - 1))
            best = jnp.where(jnp.broadcast_to(better, best.shape), images, best)
            return (parameters, memory, best, jnp.maximum(now, highest)), None

        images = self.image_of(parameters)
        now = self.excited(run, images, units)
        start = parameters, self.optimizer.init(parameters), images, now
        (_, _, images, now), _ = lax.scan(step, start, jnp.arange(self.steps))
        return images.reshape(len(units), *self.shape), now


def _checked(
    net: Any, low: Any, high: Any, steps: int, shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of an input, and with an axis for channels."""
    check_chain(net)
    check_network("net", net)
    whole(steps, "steps", minimum=1)
    if not low < high:
        raise ValueError(f"`low` is {low}, but must be below `high`, {high}.")
    sizes = tuple(whole(n, "shape", minimum=1) for n in shape)
    if not sizes:
        raise ValueError("`shape` is empty, but needs at least one axis.")
    return sizes, sizes if len(sizes) > 1 else (*sizes, 1)


def _maximized(
    ascent: _Ascent, key: Array, net: Chain, cut: str, unit: Any
) -> Maximized:
    """The images of some units, and a check that they excite them."""
    _check_unit(net, cut, unit, ascent.shape)
    units = jnp.asarray(unit)
    graph, state = nnx.split(with_relu(net, redirected_relu)[0])

    @jax.jit
    def climb(state: Any, key: Array, units: Array) -> tuple[Array, Array]:
        run = partial(nnx.merge(graph, state).run, upto=cut)
        return ascent.climb(run, key, units)

    images, activations = climb(state, key, units.reshape(-1))
    if is_known(activations):
        _check_excited(cut, np.asarray(units).reshape(-1), np.asarray(activations))
    return Maximized(
        images.reshape(*units.shape, *ascent.shape), activations.reshape(units.shape)
    )


def _crops(key: Array, images: Array, side: Any, count: int) -> Array:
    """Random square crops of images, resized to their size: (images, crops, …)."""
    centre, size = jax.random.split(key)
    middle = 0.3 * jax.random.normal(centre, (count, 2))
    sides = jnp.clip(side + 0.05 * jax.random.normal(size, (count, 1)), 0.05, 1.0)
    height, width = images.shape[1:3]
    steps = [(2 * jnp.arange(n) + 1) / n - 1 for n in (width, height)]
    points = jnp.stack(jnp.meshgrid(*steps), axis=-1)
    grid = middle[:, None, None] + sides[:, None, None] * points[None]
    shape = (len(images), *grid.shape)
    repeated = jnp.repeat(images[:, None], count, axis=1)
    return F.grid_sample(
        repeated, jnp.broadcast_to(grid, shape), padding_mode="reflection"
    )


def _check_unit(net: Chain, cut: str, unit: Any, shape: tuple[int, ...]) -> None:
    """Refuses channels that the stage does not have."""
    maps = jax.eval_shape(lambda x: net.run(x, upto=cut), jnp.zeros((1, *shape)))
    units = np.asarray(unit)
    if not np.issubdtype(units.dtype, np.integer):
        raise TypeError(f"`unit` is {unit!r}, but must be a whole number or several.")
    if not units.size or units.min() < 0 or units.max() >= maps.shape[-1]:
        raise ValueError(
            f"`unit` is {unit}, but {cut!r} has {maps.shape[-1]} channels: give 0 to "
            f"{maps.shape[-1] - 1}."
        )


def _check_excited(cut: str, units: np.ndarray, activations: np.ndarray) -> None:
    """Refuses units that are 0 whatever the image."""
    dead = units[activations == 0]
    if len(dead):
        raise ValueError(
            f"unit {dead[0]} of {cut!r} is 0 for every image that was tried, so that "
            "nothing excites it: choose another unit."
        )
