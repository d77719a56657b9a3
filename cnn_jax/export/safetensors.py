"""Weights as a file of safetensors, with PyTorch's names."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax import nn
from cnn_jax.models.extras import required
from cnn_jax.models.state_dict import Layout, to_state_dict


def safetensors(
    net: nn.Chain,
    *,
    layout: Layout | None = None,
    classes: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The weights of a network as a file of safetensors that PyTorch loads.

    `load_state_dict(safetensors.torch.load_file(file))` of the same network in
    torchvision or timm accepts them.

    Args:
        net: The network.
        layout: The names, as for `models.to_state_dict`; by default torchvision's where
            it has such a network, and otherwise those of the stages.
        classes: Names of the classes; stored as JSON in the metadata `classes`.
        metadata: Further texts by name.

    Returns:
        The content of the file.

    Raises:
        ValueError: If the library of the layout has no such network.
        TypeError: If a stage has weights that PyTorch has no layer for.
        ModuleNotFoundError: If the extra `pretrained` is not installed.

    Example:
        >>> from flax import nnx
        >>> net = nn.Chain({"fc": nn.Dense(2, 3, rngs=nnx.Rngs(0))})
        >>> content = safetensors(net, classes=("a", "b", "c"))  # doctest: +SKIP

    Source:
        safetensors, "Format".
    """
    described = {"classes": json.dumps(list(classes))} if classes else {}
    described |= {"format": "pt", **(metadata or {})}
    library = required("safetensors.numpy", "pretrained", "files of safetensors")
    return library.save(state_dict(net, layout), metadata=described)


def state_dict(net: nn.Chain, layout: Layout | None) -> dict[str, np.ndarray]:
    """The weights under the names of a layout, or of the best one.

    Args:
        net: The network.
        layout: The layout; None for torchvision's where there is such a network.
    """
    if layout is not None:
        return to_state_dict(net, layout=layout)
    try:
        return to_state_dict(net, layout="torchvision")
    except ValueError:  # torchvision has no such network.
        return to_state_dict(net, layout="paths")
