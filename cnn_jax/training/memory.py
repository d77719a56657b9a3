"""The memory of a training, estimated before any of it is taken."""

from typing import Any

import jax

from cnn_jax.data.memory import check_memory, free_memory
from cnn_jax.nn.summary import equations
from cnn_jax.training.config import Config

PRODUCTS = {"conv", "conv_input_gradient", "conv_general_dilated", "dot_general"}
# A step keeps the output of each product, before and after its normalization and its
# activation, and the gradients of both. Two networks measured took 3.6 and 4 of these
# arrays; with 3, nothing that works is refused.
MAPS = 3
STATES = 4  # Of each weight: its gradient, two moments of Adam and the best copy.


def check_step(jaxpr: Any, weights: Any, config: Config, *, rows: int) -> None:
    """Refuses a training of which one step does not fit into memory.

    Args:
        jaxpr: The network, applied to a few examples.
        weights: Arrays or shapes.
        config: Holds the size of a batch and the number of its parts.
        rows: The number of those examples.

    Raises:
        ValueError: If it takes more memory than is free on the device.
    """
    examples = config.batch_size // config.accumulate
    width = 0.5 if config.precision == "bfloat16" else 1
    maps = MAPS * width * examples * _bytes_of_products(jaxpr) / rows
    check_memory(
        f"a training step with {examples:,} examples at a time",
        maps + STATES * _bytes(weights),
        "choose a smaller `batch_size`, smaller inputs or another network",
        free=_free_on_device(),
    )


def _bytes_of_products(jaxpr: Any) -> int:
    """The bytes of the outputs of all convolutions and matrix products."""
    return sum(
        _bytes([variable.aval for variable in equation.outvars])
        for equation in equations(jaxpr)
        if equation.primitive.name in PRODUCTS
    )


def _bytes(tree: Any) -> int:
    leaves = jax.tree.leaves(tree)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _free_on_device() -> int:
    """The bytes that are free on the device; on a CPU those of the machine."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in statistics:
        return free_memory()
    return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
