"""Guided backpropagation: only positive gradients pass through ReLUs."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.explain.inputs import check_chain, gradient, prepared
from cnn_jax.nn import Chain

RELUS = (F.relu, jax.nn.relu)


def guided_backprop(
    net: Chain, x: Float[Array, "..."], target: Any = None
) -> Float[Array, "..."]:
    """Gradient of the target's logit that passes through ReLUs only where positive.

    Where a ReLU has input z and its output has gradient g, the gradient of z is

        g  if z > 0 and g > 0,  otherwise 0

    Warning: its maps are sharp because they restore edges of the input. They hardly
    change when the weights of the network are randomised, and hardly depend on the
    target: they do not explain what the network has learned. `sanity` measures it.

    Args:
        net: The network, in evaluation mode, with ReLUs as stages or activations.
        x: Inputs: images, signals, spectrograms or rows of a table.
        target: A class for all inputs, one for each, or None for the largest logit.

    Returns:
        A score for every number of `x`.

    Raises:
        TypeError: If `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, `net` has no ReLU, or it is in
            training mode.

    Example:
        >>> f = lambda x: x @ jnp.array([[1.0], [-2.0], [3.0]])
        >>> net = Chain({"relu": F.relu, "classifier": f})
        >>> guided_backprop(net, jnp.array([5.0, 7.0, -2.0]))
        Array([1., 0., 0.], dtype=float32)

    Source:
        Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for simplicity: the all
        convolutional net", 2014, arXiv:1412.6806, section 3.4. The warning: Adebayo et
        al., "Sanity checks for saliency maps", 2018, arXiv:1810.03292, section 5.
    """
    check_chain(net)
    x, target = prepared(net, x, target)
    changed, count = with_relu(net, guided_relu)
    if not count:
        raise ValueError(
            "`net` has no ReLU among its stages, so that guided backpropagation is "
            "the gradient: use `saliency`."
        )
    return gradient(changed, x, target)


def _relu_with(pass_on: Any) -> Any:
    """ReLU whose gradient is kept where `pass_on(z > 0, g > 0)`."""

    @jax.custom_vjp
    def relu(z: Array) -> Array:
        return F.relu(z)

    def forward(z: Array) -> tuple[Array, Array]:
        return F.relu(z), z > 0

    def backward(active: Array, g: Array) -> tuple[Array]:
        return (jnp.where(pass_on(active, g > 0), g, jnp.zeros_like(g)),)

    relu.defvjp(forward, backward)
    return relu


guided_relu = _relu_with(jnp.logical_and)
# In gradient ascent, a unit that is off can be switched on.
redirected_relu = _relu_with(jnp.logical_or)


def with_relu(net: Chain, relu: Any) -> tuple[Chain, int]:
    """A copy of a network with another ReLU; its parameters are the same arrays.

    Args:
        net: The network.
        relu: What replaces `functional.relu` and `jax.nn.relu` wherever they are an
            attribute of a module.

    Returns:
        The copy, and the number of replacements.
    """
    changed = nnx.merge(*nnx.split(net))
    count = 0
    for _, module in nnx.iter_modules(changed):
        for name, value in list(vars(module).items()):
            if any(value is known for known in RELUS):
                setattr(module, name, relu)
                count += 1
    return changed, count
