"""Sampling: pictures of another size, and pictures read at any place.

Arrays are channels-last, with any number of leading batch axes. Coordinates follow
PyTorch: a pixel is a square, and its centre lies half a pixel from its edge, unless
`align_corners` lets the first and the last centre be the ends.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax import lowering
from cnn_jax.functional.checks import (
    floating,
    one_batch,
    sizes,
    spatial_axes,
    whole,
)
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
Interpolation = Literal["nearest", "linear", "bilinear", "cubic", "bicubic"]
SamplePadding = Literal["zeros", "border", "reflection"]
SYNONYMS = {"bilinear": "linear", "bicubic": "cubic"}


def resize(
    x: Float[Array, "... channels"],
    size: Sequence[int],
    *,
    method: Resize,
    align_corners: bool = False,
    antialias: bool = False,
) -> Float[Array, "... channels"]:
    """Samples pictures at another number of places.

    Place i of m looks at n places around (i + ½)·n/m − ½, or i·(n − 1)/(m − 1) with
    `align_corners`, and weighs them by their distance t with

        nearest        the place at ⌊i·n/m⌋
        nearest-exact  the place at ⌊(i + ½)·n/m⌋
        linear         1 − |t|, for |t| < 1
        cubic          Keys' cubic for |t| < 2, with a = −¾ (−½ if `antialias`)
        lanczos        sinc(t) · sinc(t/3), for |t| < 3
        area           equally over the bin of `adaptive_avg_pool`

    axis by axis. Beyond the edge, the place at the edge is repeated; with `antialias`,
    and for lanczos, weights there are left out and the others add up to 1.

    Args:
        x: Signals, pictures or volumes.
        size: Places along each spatial axis.
        method: How places are weighed. `"bilinear"` is `"linear"` and `"bicubic"` is
            `"cubic"`, over any number of axes.
        align_corners: Whether the first and the last places stay where they are; for
            linear and cubic.
        antialias: Whether a smaller picture weighs all the places that fall into one,
            for linear, cubic and lanczos: the weights are stretched by n/m, as Pillow's
            are.

    Returns:
        `x` with spatial axes of `size`.

    Raises:
        TypeError: If `size` is not a tuple of 1 to 3 numbers, or `x` has too few axes
            or is not floating point.
        ValueError: If the method is unknown or has no such option, or a size is 0.

    Example:
        >>> resize(jnp.array([[0.0], [4.0]]), (4,), method="linear")[:, 0]
        Array([0., 1., 3., 4.], dtype=float32)

    Source:
        PyTorch, torch.nn.functional.interpolate; Keys, "Cubic convolution interpolation
        for digital image processing", 1981, equation 4; Pillow, Image.resize.
    """
    (x,) = floating(x=x)
    size = sizes(size, "size")
    flat, batch = one_batch(x, len(size))
    if 0 in flat.shape[1:-1]:
        raise ValueError(f"`x` has shape {x.shape}, but 0 places cannot be resized.")
    method = _check_resize(method, align_corners, antialias)
    if method == "area":
        out = lowering.adaptive_avg_pool(flat, size)
        return out.reshape(*batch, *out.shape[1:])
    out = promote_to_float32(flat)
    for axis, m in enumerate(size, start=1):
        n = out.shape[axis]
        if method in ("nearest", "nearest-exact"):
            out = jnp.take(out, _nearest(n, m, method), axis=axis)
            continue
        weights = _weights(n, m, method, align_corners, antialias)
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


def grid_sample(
    x: Float[Array, "... channels"],
    grid: Float[Array, "... axes"],
    *,
    method: Interpolation = "linear",
    padding_mode: SamplePadding = "zeros",
    align_corners: bool = False,
) -> Float[Array, "... channels"]:
    """Reads pictures at given places.

    A place is (x, y) in a picture and (x, y, z) in a volume, from −1 to 1: the outer
    edges of the first and the last pixel, or their centres with `align_corners`. In
    pixels it is ((g + 1)·n − 1) / 2, or (g + 1)·(n − 1) / 2.

    Args:
        x: Signals, pictures or volumes, as many spatial axes as `grid` ends in.
        grid: (*batch, *places, axes), with the last spatial axis of `x` first.
        method: The nearest pixel (of two, the even one), a mean of the nearest 2 along
            each axis, or Keys' cubic of the nearest 4, with a = −¾. `"bilinear"` is
            `"linear"` and `"bicubic"` is `"cubic"`, over any number of axes.
        padding_mode: What is read beyond the edge: zeros, the pixel at the edge, or the
            picture mirrored there.
        align_corners: Where −1 and 1 lie.

    Returns:
        What was read, (*batch, *places, channels).

    Raises:
        TypeError: If an array is not floating point, `grid` does not end in 1, 2 or 3,
            or `x` or `grid` has too few axes.
        ValueError: If the batch axes of the two differ, or an option is unknown.

    Example:
        >>> x = jnp.arange(4.0).reshape(2, 2, 1)
        >>> grid_sample(x, jnp.array([[[0.0, 0.0], [-0.5, 0.5]]]))[..., 0]
        Array([[1.5, 2. ]], dtype=float32)

    Source:
        PyTorch, torch.nn.functional.grid_sample; Jaderberg et al., "Spatial Transformer
        Networks", 2015, arXiv:1506.02025, section 3.3.
    """
    x, grid = floating(x=x, grid=grid)
    axes = grid.shape[-1] if grid.ndim else 0
    if axes not in (1, 2, 3) or grid.ndim < axes + 1:
        raise TypeError(
            f"`grid` has shape {grid.shape}, but must be (*batch, *places, axes), with "
            "as many places as `axes`: 1, 2 or 3."
        )
    flat, batch = one_batch(x, axes)
    if grid.shape[: -axes - 1] != batch:
        raise ValueError(
            f"`grid` has batch axes {grid.shape[: -axes - 1]}, but `x` has {batch}."
        )
    _check_sampling(flat, method, padding_mode)
    places = grid.shape[-axes - 1 : -1]
    at = promote_to_float32(grid).reshape(flat.shape[0], math.prod(places), axes)[
        ..., ::-1
    ]
    sample = partial(
        _sample,
        method=SYNONYMS.get(method, method),
        padding_mode=padding_mode,
        aligned=align_corners,
    )
    out = jax.vmap(sample)(promote_to_float32(flat), at)
    return out.astype(x.dtype).reshape(*batch, *places, x.shape[-1])


def affine_grid(
    matrix: Float[Array, "... axes columns"],
    size: Sequence[int],
    *,
    align_corners: bool = False,
) -> Float[Array, "... axes"]:
    """The places that an affine map reads, for `grid_sample`.

        grid[i] = matrix · (x, y, 1),  where (x, y) is place i of `size` in −1 … 1

    Args:
        matrix: The map, (*batch, axes, axes + 1): 2 × 3 for pictures.
        size: The spatial axes of what is to be made.
        align_corners: Where −1 and 1 lie, as in `grid_sample`.

    Returns:
        A grid (*batch, *size, axes).

    Raises:
        TypeError: If `matrix` is not floating point or has fewer than 2 axes, or `size`
            is not a tuple of 1 to 3 numbers.
        ValueError: If `matrix` is not of `len(size)` rows and one column more.

    Example:
        >>> affine_grid(jnp.array([[2.0, 0.5]]), (2,))[:, 0]
        Array([-0.5,  1.5], dtype=float32)

    Source:
        PyTorch, torch.nn.functional.affine_grid; Jaderberg et al., "Spatial Transformer
        Networks", 2015, arXiv:1506.02025, equation 1.
    """
    (matrix,) = floating(matrix=matrix)
    size = sizes(size, "size")
    axes = len(size)
    if matrix.ndim < 2:
        raise TypeError(f"`matrix` has {matrix.ndim} axes, but needs at least 2.")
    if matrix.shape[-2:] != (axes, axes + 1):
        raise ValueError(
            f"`matrix` is {matrix.shape[-2:]}, but a `size` of {axes} axes needs "
            f"{(axes, axes + 1)}."
        )
    ends = [1 - (0 if align_corners else 1 / n) for n in size]
    lines = [np.linspace(-e, e, n) if n > 1 else [0.0] for e, n in zip(ends, size)]  # noqa: B905
    points = np.stack(np.meshgrid(*lines, indexing="ij")[::-1], axis=-1)
    points = jnp.asarray(points, promote_to_float32(matrix).dtype)
    turned = jnp.einsum(
        "...ij,pj->...pi",
        promote_to_float32(matrix)[..., :-1],
        points.reshape(-1, axes),
        precision=lax.Precision.HIGHEST,
    )
    moved = turned + jnp.broadcast_to(
        promote_to_float32(matrix)[..., None, :, -1], turned.shape
    )
    return moved.astype(matrix.dtype).reshape(*matrix.shape[:-2], *size, axes)


def pixel_shuffle(
    x: Float[Array, "... channels"], factor: int, *, spatial: int = 2
) -> Float[Array, "... fewer_channels"]:
    """Makes pictures larger out of their channels: r² channels become r × r pixels.

        out[h·r + i, w·r + j, c] = x[h, w, c·r² + i·r + j]

    Args:
        x: Feature maps.
        factor: How much r longer each spatial axis becomes.
        spatial: How many axes before the channels become longer.

    Returns:
        Maps with r times the places along each axis and 1 / r^spatial of the channels.

    Raises:
        TypeError: If `x` is not floating point or has too few axes.
        ValueError: If the channels are not a multiple of r^spatial, or `factor` or
            `spatial` is out of range.

    Example:
        >>> pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 4), 2)[..., 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)

    Source:
        Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016,
        arXiv:1609.05158, equation 4; PyTorch, torch.nn.PixelShuffle, whose order of
        channels this is.
    """
    (x,) = floating(x=x)
    axes = len(spatial_axes(x, spatial))
    factor = whole(factor, "factor", minimum=1)
    if x.shape[-1] % factor**axes:
        raise ValueError(
            f"`x` has {x.shape[-1]} channels, but must have a multiple of "
            f"{factor**axes}: `factor` to the power of {axes}."
        )
    flat, batch = one_batch(x, axes)
    channels = x.shape[-1] // factor**axes
    out = flat.reshape(*flat.shape[:-1], channels, *[factor] * axes)
    order = [0]
    for axis in range(axes):
        order += [1 + axis, axes + 2 + axis]
    out = jnp.transpose(out, [*order, axes + 1])
    for axis in range(1, axes + 1):  # One at a time, as an explicit mesh demands.
        out = lax.collapse(out, axis, axis + 2)
    return out.reshape(*batch, *out.shape[1:])


def pixel_unshuffle(
    x: Float[Array, "... channels"], factor: int, *, spatial: int = 2
) -> Float[Array, "... more_channels"]:
    """Makes pictures smaller and keeps all pixels, as channels.

    The inverse of `pixel_shuffle`.

    Args:
        x: Images or feature maps.
        factor: How much r shorter each spatial axis becomes.
        spatial: How many axes before the channels become shorter.

    Returns:
        Maps with 1 / r of the places along each axis and r^spatial times the channels.

    Raises:
        TypeError: If `x` is not floating point or has too few axes.
        ValueError: If a spatial axis is not a multiple of r, or `factor` or `spatial`
            is out of range.

    Example:
        >>> pixel_unshuffle(jnp.arange(4.0).reshape(2, 2, 1), 2)
        Array([[[0., 1., 2., 3.]]], dtype=float32)

    Source:
        PyTorch, torch.nn.PixelUnshuffle.
    """
    (x,) = floating(x=x)
    axes = len(spatial_axes(x, spatial))
    factor = whole(factor, "factor", minimum=1)
    out, batch = one_batch(x, axes)
    for axis, n in zip(range(1, 2 * axes, 2), out.shape[1:-1], strict=True):
        if n % factor:
            raise ValueError(
                f"`x` has {n} places along a spatial axis, but must have a multiple of "
                f"`factor`, {factor}."
            )
        out = out.reshape(
            *out.shape[:axis], n // factor, factor, *out.shape[axis + 1 :]
        )
    coarse, fine = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    out = jnp.transpose(out, [0, *coarse, 2 * axes + 1, *fine])
    out = lax.collapse(out, axes + 1)
    return out.reshape(*batch, *out.shape[1:])


# Weights of a smaller or larger axis.


def _linear(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0)


def _keys(t: Any, a: float) -> tuple[Any, Any]:
    """Keys' cubic at a distance t up to 1, and from 1 to 2."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    return near, (((t - 5) * t + 8) * t - 4) * a


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    t = np.abs(t)
    near, far = _keys(t, a)
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
    """How much place i of m is made of place j of n: `[m, n]`."""
    i = np.arange(m)
    scale = (n - 1) / max(m - 1, 1) if align_corners else n / m
    if method == "lanczos" or antialias:
        return _renormalized(n, i, scale, method, antialias)
    at = i * scale if align_corners else (i + 0.5) * scale - 0.5
    if method == "linear":
        at = np.clip(at, 0, n - 1)
    first = np.floor(at).astype(int)
    weights = np.zeros((m, n))
    taps = range(0, 2) if method == "linear" else range(-1, 3)
    for tap in taps:
        t = at - (first + tap)
        share = _linear(t) if method == "linear" else _cubic(t, a=-0.75)
        # Beyond the edge the place at the edge is meant, and counts once more.
        np.add.at(weights, (i, np.clip(first + tap, 0, n - 1)), share)
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


# Reading at any place.


def _sample(
    x: Array, at: Array, *, method: str, padding_mode: str, aligned: bool
) -> Array:
    """Reads one picture [*size, channels] at [places, axes] from −1 to 1."""
    size = x.shape[:-1]
    taps, shares = [], []
    for axis, n in enumerate(size):
        g = at[:, axis]
        place = (g + 1) * (n - 1) / 2 if aligned else ((g + 1) * n - 1) / 2
        if method != "cubic":
            place = _brought_back(place, n, padding_mode, aligned)
        found = _neighbours(place, method)
        if method == "cubic":
            found = [(_brought_back(p, n, padding_mode, aligned), w) for p, w in found]
        taps.append([p for p, _ in found])
        shares.append([w * (p >= 0) * (p <= n - 1) for p, w in found])
    values, total = x.reshape(-1, x.shape[-1]), 0.0
    strides = [math.prod(size[axis + 1 :]) for axis in range(len(size))]
    for each in itertools.product(*(range(len(axis)) for axis in taps)):
        index, share = 0, 1.0
        for axis, k in enumerate(each):
            inside = jnp.clip(taps[axis][k], 0, size[axis] - 1).astype(jnp.int32)
            index, share = index + inside * strides[axis], share * shares[axis][k]
        read = values[index]
        total = total + read * jnp.broadcast_to(share[:, None], read.shape)  # pyright: ignore[reportIndexIssue]
    return total  # pyright: ignore[reportReturnType]


def _neighbours(place: Array, method: str) -> list[tuple[Array, Array]]:
    """The whole places around, and the weight of each."""
    if method == "nearest":
        return [(jnp.round(place), jnp.ones_like(place))]
    first = lax.stop_gradient(jnp.floor(place))
    t = place - first
    if method == "linear":
        return [(first, 1 - t), (first + 1, t)]
    return [(first + tap, _cubic_weight(jnp.abs(t - tap))) for tap in (-1, 0, 1, 2)]


def _cubic_weight(t: Array) -> Array:
    near, far = _keys(t, a=-0.75)
    return jnp.where(t <= 1, near, far)


def _brought_back(place: Array, n: int, padding_mode: str, aligned: bool) -> Array:
    """A place beyond the edge, moved to where it is read."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if aligned else (-0.5, float(n))
        if span == 0:
            return jnp.zeros_like(place)
        away = jnp.abs(place - low)
        turns = lax.stop_gradient(jnp.floor(away / span))
        rest = away - turns * span
        place = low + jnp.where(turns % 2 == 0, rest, span - rest)
    return jnp.clip(place, 0, n - 1)


def _check_resize(method: str, align_corners: bool, antialias: bool) -> str:
    """The method without synonyms."""
    _check_option("method", method, get_args(Resize))
    method = SYNONYMS.get(method, method)
    if align_corners and method not in ("linear", "cubic"):
        raise ValueError(
            f"`align_corners` is True, but {method!r} has no corners to align: use "
            "'linear' or 'cubic'."
        )
    if antialias and method not in _FILTERS:
        raise ValueError(
            f"`antialias` is True, but {method!r} has no weights to stretch: use one "
            f"of {tuple(_FILTERS)}."
        )
    return method


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` is {value!r}, but must be one of {known}.")


def _check_sampling(x: Array, method: str, padding_mode: str) -> None:
    _check_option("method", method, get_args(Interpolation))
    _check_option("padding_mode", padding_mode, get_args(SamplePadding))
    if 0 in x.shape[1:-1]:
        raise ValueError(f"`x` has shape {x.shape}, but 0 places cannot be read.")
