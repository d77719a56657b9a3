"""Filters and feature maps as arrays that can be drawn."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.explain.inputs import as_input, check_chain, check_network
from cnn_jax.explain.stages import all_stages
from cnn_jax.nn import Chain


def filters(net: Chain, cut: str) -> Float[Array, "filters ..."]:
    """The kernels of a stage, one after another.

    Args:
        net: The network.
        cut: A convolution, or a dense layer.

    Returns:
        Raw weights with their sign. Of a convolution (filters, *window, channels), one
        filter per output channel, of a transposed one per input channel; of a dense
        layer that reads maps (outputs, *spatial, channels), otherwise (outputs,
        inputs).

    Raises:
        TypeError: If `net` is no Chain.
        ValueError: If there is no such stage, or it has no kernel.

    Example:
        >>> from flax import nnx
        >>> from cnn_jax.nn import Conv
        >>> net = Chain({"conv": Conv(3, 8, (5, 4), rngs=nnx.Rngs(0))})
        >>> filters(net, "conv").shape
        (8, 5, 4, 3)

    Source:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
        neural networks", 2012, figure 3.
    """
    check_chain(net)
    stages = dict(all_stages("", net))
    if cut not in stages:
        raise ValueError(f"there is no stage {cut!r}; the stages are {list(stages)}.")
    stage = stages[cut]
    kernel = getattr(stage, "depthwise_kernel", getattr(stage, "kernel", None))
    if kernel is None:
        found = [p for p, s in stages.items() if hasattr(s, "kernel")]
        raise ValueError(
            f"`cut` is {cut!r}, which has no kernel; stages that have one: "
            f"{', '.join(found) or 'none'}."
        )
    weights = kernel[...]
    if hasattr(stage, "in_shape"):
        weights = weights.reshape(*stage.in_shape, weights.shape[-1])
    return jnp.moveaxis(weights, -1, 0)


def feature_maps(
    net: Chain, x: Float[Array, "..."], cut: str
) -> Float[Array, "channels ..."]:
    """The output of a stage with its channels in front: one map after another.

    Args:
        net: The network, in evaluation mode.
        x: One input, without batch axes.
        cut: Any stage with spatial axes.

    Returns:
        Raw values, (channels, *spatial).

    Raises:
        TypeError: If `net` is no Chain, or `x` is an array of whole numbers.
        ValueError: If there is no such stage, it has no spatial axes, or `net` is in
            training mode.

    Example:
        >>> net = Chain({"twice": lambda x: jnp.concatenate([x, 2 * x], axis=-1)})
        >>> feature_maps(net, jnp.ones((5, 4, 1)), "twice").shape
        (2, 5, 4)

    Source:
        Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013,
        arXiv:1311.2901, figure 2.
    """
    check_chain(net)
    check_network("net", net)
    maps = net.run(as_input("x", x), upto=cut)
    if not hasattr(maps, "ndim") or maps.ndim < 2:
        raise ValueError(
            f"`cut` is {cut!r}, whose output has no spatial axes: choose a stage of "
            "`nn.summary` whose volume has."
        )
    return jnp.moveaxis(maps, -1, 0)
