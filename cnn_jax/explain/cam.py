"""Class activation maps: the feature maps of a stage, weighted by gradients."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.explain.inputs import check_chain, gradient, prepared
from cnn_jax.explain.stages import stage_shapes
from cnn_jax.nn import Chain


def grad_cam(
    net: Chain,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    cut: str | None = None,
    resize: bool = True,
) -> Float[Array, "..."]:
    """Feature maps of a stage, each weighted by the mean of its gradient.

        score[i] = Σ_c A[i, c] · (1 / n) · Σ_j ∂ logit / ∂ A[j, c]

    over channels c and the n positions j of the feature maps A. The scores have a sign;
    the paper sets negative ones to zero.

    Args:
        net: The network, in evaluation mode.
        x: Inputs, such as images, or audio for a network that begins with a
            spectrogram.
        target: A class for all inputs, one for each, or None for the largest logit.
        cut: The stage with the feature maps; by default the last one with more than one
            position.
        resize: Whether the map is resized by linear interpolation to the first value of
            the network with as many spatial axes: the input, or the spectrogram.

    Returns:
        A score for every position, (*batch, *spatial).

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `cut` has no spatial axes or is
            inside a block, or `net` is in training mode.

    Example:
        >>> from cnn_jax.nn import GlobalAvgPool
        >>> f = lambda x: x @ jnp.array([[1.0], [-2.0]])
        >>> maps = {"maps": lambda x: 2 * x, "mean": GlobalAvgPool()}
        >>> net = Chain(maps | {"classifier": f})
        >>> grad_cam(net, jnp.array([[[0.5, 0.0], [0.0, 0.5]]]), 0)
        Array([[ 0.5, -1. ]], dtype=float32)

    Source:
        Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
        gradient-based localization", 2016, arXiv:1610.02391, equations 1 and 2.
    """

    def weighted(maps: Array, slopes: Array, axes: tuple[int, ...]) -> Array:
        return jnp.sum(maps * jnp.mean(slopes, axis=axes, keepdims=True), axis=-1)

    return _cam(weighted, net, x, target, cut, resize)


def hires_cam(
    net: Chain,
    x: Float[Array, "..."],
    target: Any = None,
    *,
    cut: str | None = None,
    resize: bool = True,
) -> Float[Array, "..."]:
    """Feature maps of a stage, times their gradient at every position.

        score[i] = Σ_c A[i, c] · ∂ logit / ∂ A[i, c]

    Where only pooling by means and one dense layer follow, the scores of the map before
    it is resized sum to the logit less the bias, which Grad-CAM's do not in general.

    Args:
        net: The network, in evaluation mode.
        x: Inputs, as for `grad_cam`.
        target: A class for all inputs, one for each, or None for the largest logit.
        cut: The stage with the feature maps, as for `grad_cam`.
        resize: Whether the map is resized, as for `grad_cam`.

    Returns:
        A score for every position, (*batch, *spatial).

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `cut` has no spatial axes or is
            inside a block, or `net` is in training mode.

    Example:
        >>> f = lambda x: x.reshape(4) @ jnp.array([[1.0], [-2.0], [3.0], [0.0]])
        >>> net = Chain({"maps": lambda x: 2 * x, "classifier": f})
        >>> hires_cam(net, jnp.array([[[0.5, 0.0], [0.5, 0.5]]]))
        Array([[1., 3.]], dtype=float32)

    Source:
        Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
        convolutional neural networks", 2020, arXiv:2011.08891, section 3.
    """

    def product(maps: Array, slopes: Array, axes: tuple[int, ...]) -> Array:
        return jnp.sum(maps * slopes, axis=-1)

    return _cam(product, net, x, target, cut, resize)


class Unit(NamedTuple):
    """A channel of a stage.

    Attributes:
        cut: The path of the stage.
        channel: Its index.
    """

    cut: str
    channel: int


def leading_unit(net: Chain, x: Float[Array, "..."], target: int) -> Unit:
    """The channel of the last feature maps that adds most to a logit.

        channel = argmax_c Σ_i A[i, c] · ∂ logit / ∂ A[i, c]

    Args:
        net: The network, in evaluation mode.
        x: One input, without batch axes.
        target: The class.

    Returns:
        The stage, which is the last one with more than one position, or the one before
        the last stage if there is none; and the channel.

    Raises:
        TypeError: If `net` is no Chain, or `x` is an array of whole numbers.
        ValueError: If the target is outside the classes, `net` has a single stage, or
            it is in training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[1.0], [-2.0], [3.0]])
        >>> net = Chain({"double": lambda x: 2 * x, "classifier": f})
        >>> leading_unit(net, jnp.array([5.0, 7.0, 1.0]), 0)
        Unit(cut='double', channel=0)

    Source:
        Draelos & Carin, 2020, arXiv:2011.08891, section 3, before the sum over
        channels.
    """
    check_chain(net)
    x, wanted = prepared(net, x, target)
    shapes = stage_shapes(net, x, 0)
    steps = list(shapes)[1:-1]
    if not steps:
        raise ValueError("`net` has a single stage, and so no feature maps.")
    spatial = [path for path in steps if max(shapes[path][:-1], default=0) > 1]
    cut = (spatial or steps)[-1]
    maps = net.run(x, upto=cut)
    slopes = gradient(lambda maps: net.run(maps, after=cut), maps, wanted)
    products = np.asarray(maps * slopes).reshape(-1, maps.shape[-1])
    return Unit(cut, int(products.sum(axis=0).argmax()))


def _cam(
    combine: Callable[[Array, Array, tuple[int, ...]], Array],
    net: Chain,
    x: Any,
    target: Any,
    cut: str | None,
    resize: bool,
) -> Array:
    """A map from feature maps and their gradients, at the size of the picture."""
    check_chain(net)
    x, target = prepared(net, x, target)
    shapes = stage_shapes(net, x, target.ndim)
    cut = _default_cut(shapes) if cut is None else cut
    maps = net.run(x, upto=cut)
    _check_spatial(cut, maps, shapes, target.ndim)
    slopes = gradient(lambda maps: net.run(maps, after=cut), maps, target)
    found = combine(maps, slopes, tuple(range(target.ndim, maps.ndim - 1)))
    if not resize:
        return found
    rank = maps.ndim - target.ndim
    size = next(shape[:-1] for shape in shapes.values() if len(shape) == rank)
    return F.resize(found[..., None], size, method="linear")[..., 0]


def _default_cut(shapes: dict[str, tuple[int, ...]]) -> str:
    """The last step whose maps have more than one position."""
    steps = itertools.islice(shapes.items(), 1, None)
    found = [path for path, shape in steps if max(shape[:-1], default=0) > 1]
    if not found:
        raise ValueError(
            "`net` has no stage with spatial axes, so there is no map: use a method "
            "for inputs of any kind, such as `integrated_gradients`."
        )
    return found[-1]


def _check_spatial(
    cut: str, maps: Any, shapes: dict[str, tuple[int, ...]], batch_axes: int
) -> None:
    """Refuses a stage without spatial axes."""
    if not hasattr(maps, "ndim") or maps.ndim - batch_axes < 2:
        spatial = [path for path, shape in shapes.items() if path and len(shape) > 1]
        raise ValueError(
            f"`cut` is {cut!r}, whose output has no spatial axes; stages that have "
            f"them: {', '.join(spatial) or 'none'}."
        )
