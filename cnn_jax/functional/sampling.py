"""Sampling: values of images at any position, and pixel shuffling.

Arrays are channels-last, with any number of leading batch axes. Coordinates follow
PyTorch: a pixel is a square whose centre lies half a pixel from its edge. With
`align_corners` the centres of the first and the last pixel are the ends of the axis.
"""

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.functional.checks import (
    floating,
    merge_batch_axes,
    sizes,
    spatial_axes,
    whole,
)
from cnn_jax.functional.resizing import SYNONYMS, check_option, keys_cubic
from cnn_jax.lowering import promote_to_float32

Interpolation = Literal["nearest", "linear", "bilinear", "cubic", "bicubic"]
SamplePadding = Literal["zeros", "border", "reflection"]


def grid_sample(
    x: Float[Array, "... channels"],
    grid: Float[Array, "... axes"],
    *,
    method: Interpolation = "linear",
    padding_mode: SamplePadding = "zeros",
    align_corners: bool = False,
) -> Float[Array, "... channels"]:
    """Samples signals, images or volumes at the coordinates in `grid`.

    A coordinate is (x, y) in an image and (x, y, z) in a volume, from −1 to 1: the
    outer edges of the first and the last pixel, or their centres with `align_corners`.
    In pixels, coordinate g is ((g + 1)·n − 1) / 2, or (g + 1)·(n − 1) / 2.

    Args:
        x: Signals, images or volumes, with as many spatial axes as `grid` has
            coordinates.
        grid: Coordinates, (*batch, *size, axes); the last spatial axis of `x` comes
            first.
        method: The nearest pixel (of two, the even one), linear interpolation of the
            nearest 2 along each axis, or Keys' cubic of the nearest 4, with a = −¾.
            `"bilinear"` is `"linear"` and `"bicubic"` is `"cubic"`, over any number of
            axes.
        padding_mode: Values beyond the edge: zeros, the pixel at the edge, or the
            image reflected at the edge.
        align_corners: Whether −1 and 1 are the centres of the outer pixels.

    Returns:
        The sampled values, (*batch, *size, channels).

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
            f"`grid` has shape {grid.shape}, but must be (*batch, *size, axes), with "
            "`axes` 1, 2 or 3 and as many entries in `size`."
        )
    flat, batch = merge_batch_axes(x, axes)
    if grid.shape[: -axes - 1] != batch:
        raise ValueError(
            f"`grid` has batch axes {grid.shape[: -axes - 1]}, but `x` has {batch}."
        )
    _check_sampling(flat, method, padding_mode)
    size = grid.shape[-axes - 1 : -1]
    points = promote_to_float32(grid).reshape(flat.shape[0], math.prod(size), axes)
    sample = partial(
        _sample,
        method=SYNONYMS.get(method, method),
        padding_mode=padding_mode,
        aligned=align_corners,
    )
    out = jax.vmap(sample)(promote_to_float32(flat), points[..., ::-1])
    return out.astype(x.dtype).reshape(*batch, *size, x.shape[-1])


def affine_grid(
    matrix: Float[Array, "... axes columns"],
    size: Sequence[int],
    *,
    align_corners: bool = False,
) -> Float[Array, "... axes"]:
    """Sampling grid of an affine map, for `grid_sample`.

        grid[i] = matrix · (x, y, 1),  with (x, y) in −1 … 1 for position i of `size`

    Args:
        matrix: The map, (*batch, axes, axes + 1): 2 × 3 for images.
        size: The spatial size of the grid.
        align_corners: As in `grid_sample`.

    Returns:
        A grid (*batch, *size, axes).

    Raises:
        TypeError: If `matrix` is not floating point or has fewer than 2 axes, or `size`
            is not a tuple of 1 to 3 numbers.
        ValueError: If `matrix` does not have `len(size)` rows and one column more.

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
            f"`matrix` is {matrix.shape[-2:]}, but a `size` of {axes} axes needs a "
            f"matrix of shape {(axes, axes + 1)}."
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
    """Rearranges r² channels into r × r pixels.

        out[h·r + i, w·r + j, c] = x[h, w, c·r² + i·r + j]

    Args:
        x: Feature maps.
        factor: Upscaling factor r of each spatial axis.
        spatial: Number of spatial axes, 1 to 3.

    Returns:
        Maps with r times the size along each axis and 1 / r^spatial of the channels.

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
    flat, batch = merge_batch_axes(x, axes)
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
    """Rearranges r × r pixels into r² channels: the inverse of `pixel_shuffle`.

    Args:
        x: Images or feature maps.
        factor: Downscaling factor r of each spatial axis.
        spatial: Number of spatial axes, 1 to 3.

    Returns:
        Maps with 1 / r of the size along each axis and r^spatial times the channels.

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
    out, batch = merge_batch_axes(x, axes)
    for axis, n in zip(range(1, 2 * axes, 2), out.shape[1:-1], strict=True):
        if n % factor:
            raise ValueError(
                f"`x` has size {n} along a spatial axis, which is not a multiple of "
                f"`factor`, {factor}."
            )
        out = out.reshape(
            *out.shape[:axis], n // factor, factor, *out.shape[axis + 1 :]
        )
    coarse, fine = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    out = jnp.transpose(out, [0, *coarse, 2 * axes + 1, *fine])
    out = lax.collapse(out, axes + 1)
    return out.reshape(*batch, *out.shape[1:])


def _sample(
    x: Array, points: Array, *, method: str, padding_mode: str, aligned: bool
) -> Array:
    """Samples one image [*size, channels] at [points, axes] from −1 to 1."""
    size = x.shape[:-1]
    per_axis = [
        _neighbours(points[:, axis], n, method, padding_mode, aligned)
        for axis, n in enumerate(size)
    ]
    values = x.reshape(-1, x.shape[-1])
    total = jnp.zeros((len(points), x.shape[-1]), x.dtype)
    for corner in itertools.product(*per_axis):
        index, weight = 0, 1.0
        for n, (position, axis_weight) in zip(size, corner, strict=True):
            inside = jnp.clip(position, 0, n - 1).astype(jnp.int32)
            index, weight = index * n + inside, weight * axis_weight
        read = values[index]
        total = total + read * jnp.broadcast_to(weight[:, None], read.shape)  # pyright: ignore[reportIndexIssue]
    return total


def _neighbours(
    g: Array, n: int, method: str, padding_mode: str, aligned: bool
) -> list[tuple[Array, Array]]:
    """The pixels around coordinate `g` of an axis of n, and the weight of each."""
    position = (g + 1) * (n - 1) / 2 if aligned else ((g + 1) * n - 1) / 2
    if method == "cubic":
        pixels = [
            (_into_range(pixel, n, padding_mode, aligned), weight)
            for pixel, weight in _interpolation(position, method)
        ]
    else:
        position = _into_range(position, n, padding_mode, aligned)
        pixels = _interpolation(position, method)
    return [(p, weight * (p >= 0) * (p <= n - 1)) for p, weight in pixels]


def _interpolation(position: Array, method: str) -> list[tuple[Array, Array]]:
    """The whole positions around a position, and the weight of each."""
    if method == "nearest":
        return [(jnp.round(position), jnp.ones_like(position))]
    first = lax.stop_gradient(jnp.floor(position))
    t = position - first
    if method == "linear":
        return [(first, 1 - t), (first + 1, t)]
    return [(first + tap, _cubic_weight(jnp.abs(t - tap))) for tap in (-1, 0, 1, 2)]


def _cubic_weight(t: Array) -> Array:
    near, far = keys_cubic(t, a=-0.75)
    return jnp.where(t <= 1, near, far)


def _into_range(position: Array, n: int, padding_mode: str, aligned: bool) -> Array:
    """Moves a position beyond the edge to the pixel that `padding_mode` reads."""
    if padding_mode == "zeros":
        return position
    if padding_mode == "reflection":
        position = _reflect_into_range(position, n, aligned)
    return jnp.clip(position, 0, n - 1)


def _reflect_into_range(position: Array, n: int, aligned: bool) -> Array:
    """Reflects at the edges of the outer pixels, or at their centres if `aligned`."""
    low, span = (0.0, n - 1.0) if aligned else (-0.5, float(n))
    if span == 0:
        return jnp.zeros_like(position)
    distance = jnp.abs(position - low)
    reflections = lax.stop_gradient(jnp.floor(distance / span))
    rest = distance - reflections * span
    return low + jnp.where(reflections % 2 == 0, rest, span - rest)


def _check_sampling(x: Array, method: str, padding_mode: str) -> None:
    check_option("method", method, get_args(Interpolation))
    check_option("padding_mode", padding_mode, get_args(SamplePadding))
    if 0 in x.shape[1:-1]:
        raise ValueError(f"`x` has shape {x.shape}: an empty axis cannot be sampled.")
