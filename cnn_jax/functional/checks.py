"""Argument checks, done before tracing while shapes are static."""

import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.lowering import Geometry

PerAxis = int | Sequence[int]
Number = int | float

MAX_SIZE = 2**31 - 1  # XLA's indices are of 32 bits.
MAX_POSITIONS = 2**40  # Beyond any memory; XLA aborts where a product overflows.


def floating(**arrays: Array) -> list[Array]:
    """The arguments as arrays, all of one floating dtype."""
    converted = [_array(name, array) for name, array in arrays.items()]
    first = next(iter(arrays))
    for name, array in zip(arrays, converted, strict=True):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"`{name}` is {array.dtype}, but must be floating point: convert it, "
                f"`{name}.astype(jnp.float32)`."
            )
        if array.dtype != converted[0].dtype:
            raise TypeError(
                f"`{name}` is {array.dtype}, but `{first}` is {converted[0].dtype}: "
                "convert one of them."
            )
    return converted


def _array(name: str, value: object) -> Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` is {value!r}, but must be an array.") from None


def per_axis(
    value: PerAxis, axes: int, name: str, *, minimum: int = 1
) -> tuple[int, ...]:
    """One whole number per spatial axis; a scalar applies to all axes."""
    entries = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(entries) != axes:
        raise ValueError(
            f"`{name}` has {len(entries)} entries, but there are {axes} spatial axes: "
            "give one number for all, or one for each."
        )
    return tuple(whole(entry, name, minimum=minimum) for entry in entries)


def whole(value: object, name: str, *, minimum: int) -> int:
    """The value as a whole number, checked against its minimum and `MAX_SIZE`."""
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(f"`{name}` is {value!r}, but must be a whole number.") from None
    if number < minimum:
        raise ValueError(f"`{name}` is {number}, but must be at least {minimum}.")
    if number > MAX_SIZE:
        raise ValueError(f"`{name}` is {number}, but must be at most {MAX_SIZE}.")
    return number


def as_precision(value: object) -> tuple[lax.Precision, lax.Precision] | None:
    """The precision of both factors of a product; None for JAX's default."""
    if value is None:
        return None
    pair = value if isinstance(value, tuple) else (value, value)
    try:
        first, second = map(lax.Precision, pair)
    except ValueError:
        raise ValueError(
            f"`precision` is {value!r}, but must be None, 'default', 'high', "
            "'highest', a jax.lax.Precision, or a pair of these for the two factors."
        ) from None
    return first, second


def axes_of(value: object, name: str) -> tuple:
    """A tuple whose length is the number of spatial axes, 1 to 3."""
    if not isinstance(value, tuple | list):
        raise TypeError(
            f"`{name}` is {value!r}, but must be a tuple with one entry per spatial "
            "axis, such as (2, 2) for images."
        )
    if not 1 <= len(value) <= 3:
        raise TypeError(
            f"`{name}` has {len(value)} axes, but must have 1, 2 or 3, for signals, "
            "images or volumes."
        )
    return tuple(value)


def sizes(value: object, name: str) -> tuple[int, ...]:
    """A whole number of at least 1 for each of 1 to 3 spatial axes."""
    entries = axes_of(value, name)
    checked = per_axis(entries, len(entries), name)
    check_size(name, checked)
    return checked


def check_size(name: str, size: Sequence[int]) -> None:
    """Refuses spatial sizes that no array has: XLA would abort the interpreter.

    Args:
        name: What leads to this size.
        size: The length of each spatial axis.

    Raises:
        ValueError: If an axis is longer than `MAX_SIZE`, or there are more than
            `MAX_POSITIONS` positions.
    """
    if max(size) > MAX_SIZE:
        raise ValueError(
            f"`{name}` gives a spatial axis of {max(size)}, but it has at most "
            f"{MAX_SIZE}: use a smaller one."
        )
    if math.prod(size) > MAX_POSITIONS:
        raise ValueError(
            f"`{name}` gives {math.prod(size)} positions, {tuple(size)}, but an array "
            f"has at most {MAX_POSITIONS}: use a smaller one."
        )


def merge_batch_axes(x: Array, axes: int) -> tuple[Array, tuple[int, ...]]:
    """`x` with one batch axis, and the shape of its batch axes."""
    if x.ndim < axes + 1:
        raise TypeError(
            f"`x` has {x.ndim} axes, but a window of {axes} needs at least {axes + 1}: "
            f"{axes} spatial and one for channels."
        )
    batch, rest = x.shape[: -axes - 1], x.shape[-axes - 1 :]
    return x.reshape(math.prod(batch), *rest), batch


def check_fit(windows: Geometry) -> None:
    """Refuses a window that is larger than the padded input, and sizes of no array."""
    for axis, out_size in enumerate(windows.out_size):
        if out_size < 1:
            span = windows.dilation[axis] * (windows.window[axis] - 1) + 1
            room = windows.size[axis] + sum(windows.pads[axis])
            raise ValueError(
                f"`x` has size {room} along spatial axis {axis}, padding included, but "
                f"the window spans {span}: use a smaller window or more padding."
            )
    padded = [n + sum(p) for n, p in zip(windows.size, windows.pads, strict=True)]
    check_size("padding", padded)


def spatial_axes(x: Array, spatial: object) -> tuple[int, ...]:
    """The axes before the channels, counted from the end."""
    if spatial not in (1, 2, 3):
        raise ValueError(f"`spatial` is {spatial}, but must be 1, 2 or 3.")
    axes = int(spatial)  # pyright: ignore[reportArgumentType]
    if x.ndim < axes + 1:
        raise TypeError(
            f"`x` has {x.ndim} axes, but needs at least {axes + 1}: {axes} spatial and "
            "one for channels."
        )
    return tuple(range(-axes - 1, -1))
