"""What identifies a training beside its configuration: functions and one step."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset
from cnn_jax.training.arrays import checksum
from cnn_jax.training.step import Parts, StepSpec, start, train_step

CONFIGURED = "of the configuration"  # Not a function of its own.


def function_names(given: Mapping[str, Any]) -> dict[str, str]:
    """The qualified name of each function that the caller gave to `fit`.

    Args:
        given: Functions by option, None where the configuration names one.

    Returns:
        Names by option, and the version of JAX.
    """
    names = {
        name: CONFIGURED if function is None else _qualified(function)
        for name, function in given.items()
    }
    return names | {"jax": jax.__version__}


def step_hash(spec: StepSpec, parts: Parts, example: chex.ArrayTree) -> str:
    """A hash of all operations and constants of one training step.

    Args:
        spec: The step.
        parts: The variables of a network.
        example: Inputs and labels of some examples.

    Returns:
        A SHA-256 digest, the same in every process.
    """
    size = spec.batch_size
    inputs, labels = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), jnp.asarray(a[:1]).dtype),
        example,
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(partial(start, spec), parts, key)
    mask = jax.ShapeDtypeStruct((size,), jnp.float32)
    batch = inputs, labels, mask
    jaxpr = jax.make_jaxpr(partial(train_step, spec))(state, batch)
    # Functions are printed with their address, which differs between processes.
    digest = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", str(jaxpr)).encode())
    for constant in jaxpr.consts:
        digest.update(np.asarray(constant).tobytes())
    return digest.hexdigest()


def digest(data: Dataset) -> dict[str, str]:
    """What is compared of data that several processes have loaded, each for itself.

    Args:
        data: The data.

    Returns:
        The digest of each array; of a source its length, first and last example.
    """
    return {
        f"{name} {part}": checksum(array)[:16]
        for name, split in (("train", data.train), ("validation", data.validation))
        if split is not None
        for part, array in _parts(split)
    }


def _parts(split: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(split, Mapping):
        yield from split.items()
        return
    yield "length", np.array(len(split))
    for row in 0, len(split) - 1:
        for name, value in split[row].items():
            yield f"{name} of example {row}", np.asarray(value)


def _qualified(function: Any) -> str:
    """The module and name of a function, or of the members of a tuple of functions."""
    if isinstance(function, tuple):
        return ", ".join(map(_qualified, function))
    while isinstance(function, partial):
        function = function.func
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
