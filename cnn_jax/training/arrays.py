"""Arrays by their path: names, shapes, checksums, and the way to the host and back."""

import hashlib
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from cnn_jax.training.mesh import put

Shapes = dict[str, tuple[tuple[int, ...], str]]

# JAX keeps what each call of `jax.eval_shape` finds for as long as the function lives,
# and memory would grow: one compiled function is asked instead.
_key_data = jax.jit(jax.random.key_data)


def path_name(path: Any) -> str:
    """A path in a tree as text: `params/stages/conv1/kernel`."""
    keys = (str(jax.tree_util.keystr((key,), simple=True)) for key in path)
    return "/".join(key for key in keys if key != "value")


def by_path(tree: chex.ArrayTree) -> dict[str, np.ndarray]:
    """Copies of all arrays on the host, by their path."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {path_name(path): on_host(leaf) for path, leaf in leaves}


def shapes_of(tree: chex.ArrayTree) -> Shapes:
    """The path, shape and dtype of each array, in the order of the leaves.

    Args:
        tree: Arrays or their shapes. A random key is stored as its data.
    """
    leaves, _ = jax.tree.flatten_with_path(jax.tree.map(_shape, tree))
    return {path_name(path): (tuple(x.shape), str(x.dtype)) for path, x in leaves}


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by path as nested dictionaries, as Orbax stores them."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = array
    return tree


def compare(found: Shapes, expected: Shapes) -> None:
    """Checks that a checkpoint is of the expected architecture.

    Raises:
        ValueError: If it is not; the message lists each difference.
    """
    lines = [f"- {name} is missing" for name in expected.keys() - found.keys()]
    lines += [f"+ {name} is unexpected" for name in found.keys() - expected.keys()]
    lines += [
        f"! {name} is {_text(found[name])}, but must be {_text(expected[name])}"
        for name in found.keys() & expected.keys()
        if found[name] != expected[name]
    ]
    if lines:
        raise ValueError(
            "the checkpoint is of another architecture:\n" + "\n".join(sorted(lines))
        )


def _text(shape: tuple[tuple[int, ...], str]) -> str:
    return f"{shape[0]}" if shape[1] == "float32" else f"{shape[0]} {shape[1]}"


def checksum(data: Any) -> str:
    """The SHA-256 digest of a text or of the bytes of an array."""
    if isinstance(data, str):
        return hashlib.sha256(data.encode()).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()


def on_host(x: Any) -> np.ndarray:
    """A copy on the host, because a training step reuses the buffers of its state."""
    return np.array(_data(x))


def on_device(like: Any, x: np.ndarray) -> Any:
    """An array as it was before it was saved.

    Args:
        like: An array of the same kind, on the same devices; a random key is wrapped
            again.
        x: The stored array.

    Returns:
        A new array.
    """
    array = jnp.array(x)
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        array = jax.random.wrap_key_data(array, impl=jax.random.key_impl(like))
    sharding = getattr(like, "sharding", None)
    return put(sharding, array) if isinstance(sharding, NamedSharding) else array


def _data(x: Any) -> Any:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if is_key else x


def _shape(x: Any) -> Any:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return _key_data.eval_shape(x) if is_key else x
