"""Parameters and dtypes of the modules that compute with a kernel.

`dtype` and `param_dtype` mean what they mean in Flax, but for one thing. By default,
with `dtype=None`, Flax promotes the input and the parameters to a common dtype. Here
nothing is cast, and arrays of different dtypes are refused: promotion would turn a
bfloat16 input into float32, and with it all later layers, without a message.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike


def parameter(
    init: Initializer, shape: Sequence[int], *, dtype: DTypeLike, rngs: nnx.Rngs
) -> nnx.Param:
    """A parameter drawn by an initializer with the next key of the stream `params`."""
    drawn = init(rngs.params(), tuple(shape), floating_dtype(dtype, "param_dtype"))
    return nnx.Param(drawn)


def computation_dtype(dtype: DTypeLike | None) -> np.dtype | None:
    """The dtype that a layer computes in; None casts nothing."""
    return None if dtype is None else floating_dtype(dtype, "dtype")


def floating_dtype(dtype: DTypeLike, name: str) -> np.dtype:
    """The NumPy dtype, one object however it was written.

    Raises:
        TypeError: If `dtype` is not a floating-point dtype.
    """
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise TypeError(
            f"`{name}` is {dtype!r}, but must be a floating-point dtype, such as "
            "jnp.bfloat16."
        )
    return found


def cast(dtype: np.dtype | None, *arrays: Array | nnx.Param | None) -> tuple[Any, ...]:
    """The values of arrays and parameters, cast to `dtype`.

    Args:
        dtype: The dtype of the computation; with None nothing is cast.
        *arrays: None stays None.
    """
    values = (a[...] if isinstance(a, nnx.Param) else a for a in arrays)
    if dtype is None:
        return tuple(values)
    return tuple(None if a is None else jnp.asarray(a, dtype) for a in values)
