"""Argument checks of `fit`: data, networks and options that must fit each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset, inputs_of
from cnn_jax.data.dataset import length
from cnn_jax.nn import Chain
from cnn_jax.training.config import MAX_STEPS, Config


def check_data(
    data: Dataset | Sequence[Dataset], nets: int, config: Config
) -> list[Dataset]:
    """The data sets as a list, which must agree in number, shape and size.

    Args:
        data: One data set for all networks, or one for each.
        nets: The number of networks.
        config: Holds the batch size.

    Returns:
        One data set, or as many as there are networks.

    Raises:
        TypeError: If `data` or `config` is something else.
        ValueError: If there are no networks, the data sets are not as many or differ in
            shape, validation inputs are NaN or infinite, or a batch is larger than the
            training split.
    """
    datasets: list[Any] = list(data) if isinstance(data, list | tuple) else [data]
    for one in datasets:
        if not isinstance(one, Dataset):
            raise TypeError(
                f"`data` is {type(one).__name__}, but must be a Dataset, such as from "
                "`data.load`, or a list of them."
            )
    if not isinstance(config, Config):
        raise TypeError(f"`config` is {type(config).__name__}, but must be a Config.")
    if not isinstance(data, Dataset) and len(datasets) != nets:
        raise ValueError(
            f"`data` has {len(datasets)} data sets, but there are {nets} networks: "
            "give one for all, or one for each."
        )
    shapes = {(length(one.train), str(one.shape)) for one in datasets}
    if len(shapes) > 1:
        raise ValueError(f"`data` must have one shape, but has {sorted(shapes)}.")
    for one in datasets:
        _check_finite("validation", one.validation)
    examples = length(datasets[0].train)
    if config.batch_size > examples:
        raise ValueError(
            f"`batch_size` is {config.batch_size}, but there are {examples} examples."
        )
    return datasets


def _check_finite(name: str, split: Any) -> None:
    """Refuses inputs in arrays that are NaN or infinite; training finds its own."""
    arrays = jax.tree.leaves(inputs_of(split)) if isinstance(split, Mapping) else []
    for array in arrays:
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
            raise ValueError(
                f"`{name}` has inputs that are NaN or infinite, first in row "
                f"{int(np.argmin(finite))}: repair or remove them."
            )


def check_nets(net: Any) -> list[Chain]:
    """The networks as a list, of which there is at least one.

    Args:
        net: A network, or several.

    Returns:
        The networks.

    Raises:
        TypeError: If it is something else.
        ValueError: If there are none.
    """
    nets = list(net) if isinstance(net, list | tuple) else [net]
    for one in nets:
        if not isinstance(one, Chain):
            raise TypeError(
                f"`net` is {type(one).__name__}, but must be a Chain or a list of them."
            )
    if not nets:
        raise ValueError("`net` is an empty list, but must have at least one Chain.")
    return nets


def check_steps(config: Config, batches: int) -> int:
    """The number of steps, which a device counts in 32 bits.

    Args:
        config: Holds the number of epochs.
        batches: The number of batches in an epoch.

    Returns:
        The steps of all epochs.

    Raises:
        ValueError: If there are too many.
    """
    steps = config.epochs * batches
    if steps > MAX_STEPS:
        raise ValueError(
            f"`epochs` is {config.epochs}, which makes {steps} steps, but there may be "
            f"{MAX_STEPS}: choose at most {MAX_STEPS // batches} epochs."
        )
    return steps


def check_images(config: Config, shape: Any) -> None:
    """Refuses augmentation of inputs that are no images.

    Args:
        config: Holds the augmentations.
        shape: The shape of an input.

    Raises:
        ValueError: If it has not three axes.
    """
    if not isinstance(shape, tuple) or len(shape) != 3:
        name = "augment" if config.augment else "cutmix"
        value = getattr(config, name)
        raise ValueError(
            f"`{name}` is {value}, which changes images (height, width, "
            f"channels), but an input is {shape}: leave it out, or train the stages "
            "that read the image on images."
        )


def check_heads(heads: Any, weights: Sequence[tuple[str, float]]) -> None:
    """Refuses weights of heads that the network does not have.

    Args:
        heads: Those of the network, by name.
        weights: Names and weights.

    Raises:
        ValueError: If a name is not among them.
    """
    unknown = {name for name, _ in weights} - set(heads)
    if unknown:
        raise ValueError(
            f"`head_weights` names {sorted(unknown)}, but the network has heads "
            f"{sorted(heads)}."
        )


def example_of(data: Dataset) -> tuple[Any, Any]:
    """Inputs and labels of the training split: all arrays, or one row of a source."""
    train = data.train
    if not hasattr(train, "keys"):
        train = {name: np.asarray(value)[None] for name, value in train[0].items()}
    return inputs_of(train), train["label"]


def two_rows(array: Any) -> jax.Array:
    """Zeros with the shape of two examples."""
    return jnp.asarray(np.zeros_like(array[:2]))
