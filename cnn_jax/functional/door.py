"""What every function checks at its door, while shapes are static."""

import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

PerAxis = int | Sequence[int]


def floating(**arrays: Array) -> list[Array]:
    """The arrays, all of one floating dtype."""
    found = [jnp.asarray(array) for array in arrays.values()]
    first = next(iter(arrays))
    for name, array in zip(arrays, found, strict=True):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"`{name}` is {array.dtype}, but only floating point will do: "
                f"convert it, `{name}.astype(jnp.float32)`."
            )
        if array.dtype != found[0].dtype:
            raise TypeError(
                f"`{name}` is {array.dtype}, but `{first}` is {found[0].dtype}: "
                "convert one of them."
            )
    return found


def per_axis(
    value: PerAxis, axes: int, name: str, *, least: int = 1
) -> tuple[int, ...]:
    """One whole number per spatial axis; a scalar stands for all axes."""
    entries = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(entries) != axes:
        raise ValueError(
            f"`{name}` has {len(entries)} entries, but there are {axes} spatial axes: "
            "give one number for all, or one for each."
        )
    return tuple(whole(entry, name, least=least) for entry in entries)


def whole(value: object, name: str, *, least: int) -> int:
    """A whole number that is large enough."""
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(
            f"`{name}` is {value!r}, but whole numbers are needed."
        ) from None
    if number < least:
        raise ValueError(f"`{name}` is {number}, but must be at least {least}.")
    return number


def window_of(window: object) -> tuple[int, ...]:
    """The size of a pooling window: a tuple, whose length is the number of axes."""
    if not isinstance(window, tuple | list):
        raise TypeError(
            f"`window` is {window!r}, but must be a tuple with one entry per spatial "
            "axis, such as (2, 2) for pictures."
        )
    if not 1 <= len(window) <= 3:
        raise TypeError(
            f"`window` has {len(window)} axes, but 1, 2 or 3 are possible: signals, "
            "pictures or volumes."
        )
    return per_axis(window, len(window), "window")


def one_batch(x: Array, axes: int) -> tuple[Array, tuple[int, ...]]:
    """`x` with its leading batch axes made one, and what they were."""
    if x.ndim < axes + 1:
        raise TypeError(
            f"`x` has {x.ndim} axes, but a window of {axes} needs at least {axes + 1}: "
            f"{axes} spatial and one for channels."
        )
    batch, rest = x.shape[: -axes - 1], x.shape[-axes - 1 :]
    return x.reshape(math.prod(batch), *rest), batch
