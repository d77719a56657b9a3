"""Resizing: signals, images and volumes of another spatial size.

Arrays are channels-last, with any number of leading batch axes. Coordinates follow
PyTorch: a pixel is a square whose centre lies half a pixel from its edge. With
`align_corners` the centres of the first and the last pixel are the ends of the axis.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.checks import floating, merge_batch_axes, sizes
from cnn_jax.lowering import promote_to_float32

Resize = Literal[
    "nearest",
    "nearest-exact",
    "linear",
    "bilinear",
    "cubic",
    "bicubic",
    "area",
    "lanczos",
]
SYNONYMS = {"bilinear": "linear", "bicubic": "cubic"}


def resize(
    x: Float[Array, "... channels"],
    size: Sequence[int],
    *,
    method: Resize,
    align_corners: bool = False,
    antialias: bool = False,
) -> Float[Array, "... channels"]:
    """Resizes signals, images or volumes by interpolation.

    Output position i of m corresponds to input position (i + ½)·n/m − ½ of n, or
    i·(n − 1)/(m − 1) with `align_corners`. The inputs around it are weighted by their
    distance t:

        nearest        the value at ⌊i·n/m⌋
        nearest-exact  the value at ⌊(i + ½)·n/m⌋
        linear         1 − |t|, for |t| < 1
        cubic          Keys' cubic for |t| < 2, with a = −¾ (−½ if `antialias`)
        lanczos        sinc(t) · sinc(t/3), for |t| < 3
        area           equally over the bin of `adaptive_avg_pool`

    along one axis after another. Beyond the edge the value at the edge is repeated.
    With `antialias`, and for lanczos, weights beyond the edge are dropped and the
    others are normalized to sum to 1.

    Args:
        x: Signals, images or volumes.
        size: Length of each spatial axis of the result.
        method: Interpolation, as listed above. `"bilinear"` is `"linear"` and
            `"bicubic"` is `"cubic"`, over any number of axes.
        align_corners: Whether the first and the last positions stay fixed; for linear
            and cubic.
        antialias: Whether a smaller image averages all inputs under one output, for
            linear, cubic and lanczos: the weights are stretched by n/m, as in Pillow.

    Returns:
        `x` with spatial axes of `size`.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 numbers, or `x` has too few axes
            or is not floating point.
        ValueError: If the method is unknown or does not support an option, or a size
            is 0.

    Example:
        >>> resize(jnp.array([[0.0], [4.0]]), (4,), method="linear")[:, 0]
        Array([0., 1., 3., 4.], dtype=float32)

    Source:
        PyTorch, torch.nn.functional.interpolate; Keys, "Cubic convolution interpolation
        for digital image processing", 1981, equation 4; Pillow, Image.resize.
    """
    (x,) = floating(x=x)
    size = sizes(size, "size")
    flat, batch = merge_batch_axes(x, len(size))
    if 0 in flat.shape[1:-1]:
        raise ValueError(f"`x` has shape {x.shape}: an empty axis cannot be resized.")
    check_option("method", method, get_args(Resize))
    kind = SYNONYMS.get(method, method)
    _check_options(kind, align_corners, antialias)
    if kind == "area":
        out = lowering.adaptive_avg_pool(flat, size)
        return out.reshape(*batch, *out.shape[1:])
    out = promote_to_float32(flat)
    for axis, m in enumerate(size, start=1):
        n = out.shape[axis]
        if kind in ("nearest", "nearest-exact"):
            out = jnp.take(out, _nearest(n, m, kind), axis=axis)
            continue
        weights = _weights(n, m, kind, align_corners, antialias)
        out = jnp.moveaxis(
            jnp.tensordot(
                jnp.asarray(weights, out.dtype),
                out,
                axes=(1, axis),
                precision=lax.Precision.HIGHEST,
            ),
            0,
            axis,
        )
    return out.astype(x.dtype).reshape(*batch, *out.shape[1:])


def _linear(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0)


def keys_cubic(t: Any, a: float) -> tuple[Any, Any]:
    """Keys' cubic kernel at a distance t of 0 to 1, and of 1 to 2."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    return near, (((t - 5) * t + 8) * t - 4) * a


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    t = np.abs(t)
    near, far = keys_cubic(t, a)
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def _lanczos(t: np.ndarray) -> np.ndarray:
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)


_FILTERS: dict[str, tuple[Callable[..., np.ndarray], int]] = {
    "linear": (_linear, 1),
    "cubic": (partial(_cubic, a=-0.5), 2),
    "lanczos": (_lanczos, 3),
}


def _nearest(n: int, m: int, method: str) -> np.ndarray:
    i = np.arange(m)
    return i * n // m if method == "nearest" else (2 * i + 1) * n // (2 * m)


def _weights(
    n: int, m: int, method: str, align_corners: bool, antialias: bool
) -> np.ndarray:
    """Weights of the n inputs of each of m outputs: `[m, n]`."""
    i = np.arange(m)
    scale = (n - 1) / max(m - 1, 1) if align_corners else n / m
    if method == "lanczos" or antialias:
        return _renormalized(n, i, scale, method, antialias)
    position = i * scale if align_corners else (i + 0.5) * scale - 0.5
    if method == "linear":
        position = np.clip(position, 0, n - 1)
    first = np.floor(position).astype(int)
    weights = np.zeros((m, n))
    taps = range(0, 2) if method == "linear" else range(-1, 3)
    for tap in taps:
        t = position - (first + tap)
        weight = _linear(t) if method == "linear" else _cubic(t, a=-0.75)
        # Beyond the edge the weight is added to that of the value at the edge.
        np.add.at(weights, (i, np.clip(first + tap, 0, n - 1)), weight)
    return weights


def _renormalized(
    n: int, i: np.ndarray, scale: float, method: str, antialias: bool
) -> np.ndarray:
    shape, support = _FILTERS[method]
    stretch = max(scale, 1.0) if antialias else 1.0
    centre = (i[:, None] + 0.5) * scale
    low = np.maximum(np.floor(centre - support * stretch + 0.5), 0)
    high = np.minimum(np.floor(centre + support * stretch + 0.5), n)
    j = np.arange(n)
    weights = shape((j + 0.5 - centre) / stretch) * ((j >= low) & (j < high))
    return weights / weights.sum(axis=1, keepdims=True)


def _check_options(method: str, align_corners: bool, antialias: bool) -> None:
    if align_corners and method not in ("linear", "cubic"):
        raise ValueError(
            f"`align_corners` is True, but {method!r} does not support it: use "
            "'linear' or 'cubic'."
        )
    if antialias and method not in _FILTERS:
        raise ValueError(
            f"`antialias` is True, but {method!r} does not support it: use one of "
            f"{tuple(_FILTERS)}."
        )


def check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuses a value that is not one of the known ones."""
    if value not in known:
        raise ValueError(f"`{name}` is {value!r}, but must be one of {known}.")
