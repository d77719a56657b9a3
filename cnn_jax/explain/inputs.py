"""Argument checks that all methods share, and the choice of a target."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer

from cnn_jax.nn import Chain

Network = Callable[[Any], Any]


def prepared(f: Network, x: Any, target: Any) -> tuple[Array, Array]:
    """The inputs as an array and one class per input, all arguments checked.

    Args:
        f: From inputs to logits.
        x: Inputs, with the batch axes of the logits first.
        target: A class for all inputs, one for each, or None for the largest logit.

    Returns:
        The inputs, and whole numbers with the shape of the batch axes.

    Raises:
        TypeError: If `f` is not callable, or `x` or `target` is of another kind.
        ValueError: If `f` is in training mode, its logits have other batch axes than
            `x`, or a target is outside the classes.
    """
    check_network("f", f)
    x = as_input("x", x)
    logits = _logits_of(f, x)
    if target is None:
        return x, jnp.argmax(f(x), axis=-1)
    return x, _as_target(target, logits.shape[:-1], logits.shape[-1])


def _logits_of(f: Network, x: Array) -> jax.ShapeDtypeStruct:
    """The shape of the logits, whose batch axes are the first axes of `x`."""
    logits = jax.eval_shape(f, x)
    if not hasattr(logits, "shape") or not logits.ndim:
        raise TypeError(
            f"`f` returns {jax.tree.map(jnp.shape, logits)}, but must return an array "
            "of logits, (*batch, classes)."
        )
    batch = logits.shape[:-1]
    if x.shape[: len(batch)] != batch:
        raise ValueError(
            f"`f` returns logits {logits.shape} for `x` {x.shape}, but both must begin "
            "with the same batch axes."
        )
    return logits


def check_chain(net: Any) -> None:
    """Refuses what has no stages.

    Args:
        net: What should be a Chain.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(net, Chain):
        raise TypeError(
            f"`net` is {type(net).__name__}, but must be a Chain, which has stages."
        )


def as_input(name: str, x: Any) -> Array:
    """An input as an array of floats.

    Args:
        name: Of the argument.
        x: An array.

    Raises:
        TypeError: If it is an array of something else.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` is {x.dtype}, but must be floating point, because a gradient "
            "needs it: convert it as for the network, `data.as_float` for bytes."
        )
    return x


def check_network(name: str, f: Any) -> None:
    """Refuses what is not callable, and networks in training mode.

    Args:
        name: Of the argument.
        f: A network or a function, perhaps a bound method or a partial of one.
    """
    if not callable(f):
        raise TypeError(f"`{name}` is {f!r}, but must be callable.")
    while isinstance(f, partial):
        f = f.func
    module = getattr(f, "__self__", f)
    if not isinstance(module, nnx.Module):
        return
    for path, layer in nnx.iter_modules(module):
        for mode in "use_running_average", "deterministic":
            if getattr(layer, mode, True) is False:
                where = "/".join(str(key) for key in path if key != "stages")
                raise ValueError(
                    f"`{name}` is in training mode: {mode} is False at {where!r}; "
                    f"give `nnx.view({name}, raise_if_not_found=False, "
                    "deterministic=True, use_running_average=True)`."
                )


def _as_target(target: Any, batch: tuple[int, ...], classes: int) -> Array:
    """One class per input, from one for all or one for each."""
    target = jnp.asarray(target)
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"`target` is {target.dtype}, but must be whole numbers.")
    if target.shape not in ((), batch):
        raise ValueError(
            f"`target` has shape {target.shape}, but must be one class for all inputs, "
            f"or have the batch axes {batch}."
        )
    if is_known(target) and target.size:
        # NumPy, because JAX would stage the comparison where a trace is under way.
        values = np.asarray(target)
        low, high = values.min(), values.max()
        if low < 0 or high >= classes:
            raise ValueError(
                f"`target` is {low if low < 0 else high}, but there are {classes} "
                f"classes: give 0 to {classes - 1}."
            )
    return jnp.broadcast_to(target, batch)


def is_known(value: Any) -> bool:
    """Whether a value is there, and not traced."""
    return not isinstance(value, Tracer)


def select(logits: Array, target: Array) -> Array:
    """The logit of the target of each input."""
    return jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]


def gradient(f: Network, x: Array, target: Array) -> Array:
    """The gradient of the logit of each target with respect to its input."""
    return jax.grad(lambda x: jnp.sum(select(f(x), target)))(x)


def as_baseline(name: str, baseline: Any, x: Array, batch_axes: int) -> Array:
    """A number, one example or a batch of them, with the shape of `x`.

    Args:
        name: Of the argument.
        baseline: What takes the values of the inputs.
        x: The inputs.
        batch_axes: The number of batch axes of `x`.

    Raises:
        ValueError: If it has another shape.
    """
    baseline = jnp.asarray(baseline, x.dtype)
    one = x.shape[batch_axes:]
    if baseline.shape not in ((), one, x.shape):
        raise ValueError(
            f"`{name}` has shape {baseline.shape}, but must be a number or have the "
            f"shape of one input, {one}, or of all, {x.shape}."
        )
    if baseline.ndim:
        missing = x.ndim - baseline.ndim
        baseline = baseline.reshape((1,) * missing + baseline.shape)
    return jnp.broadcast_to(baseline, x.shape)
