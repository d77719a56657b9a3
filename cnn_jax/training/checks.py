"""Argument checks of `fit`: data, networks and options that must fit each other."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset, inputs_of
from cnn_jax.data.dataset import length
from cnn_jax.training.config import Config


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
        ValueError: If there are no networks, the data sets are not as many or differ in
            shape, or a batch is larger than the training split.
    """
    datasets = [data] if isinstance(data, Dataset) else list(data)
    if not isinstance(data, Dataset) and len(datasets) != nets:
        raise ValueError(
            f"`data` has {len(datasets)} data sets, but there are {nets} networks: "
            "give one for all, or one for each."
        )
    shapes = {(length(one.train), str(one.shape)) for one in datasets}
    if len(shapes) > 1:
        raise ValueError(f"`data` must have one shape, but has {sorted(shapes)}.")
    examples = length(datasets[0].train)
    if config.batch_size > examples:
        raise ValueError(
            f"`batch_size` is {config.batch_size}, but there are {examples} examples."
        )
    return datasets


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
