"""Activation functions, applied elementwise.

Any shape is allowed, and shape and dtype are kept. `relu`, `tanh` and `softmax` are
defined here; the others are those of `jax.nn`, under the same names. At points where a
function is not differentiable, its gradient is defined as

    relu         at 0   0
    leaky_relu   at 0   1
    relu6        at 0   0,  at 6   0
    elu          at 0   1
    celu         at 0   1
    selu         at 0   1.7581, the slope of its left side
    hard_tanh    at −1  1,  at 1   1
    hard_sigmoid at −3  0,  at 3   0
    hard_silu    at −3  0,  at 3   1

`gelu`, `glu`, `log_softmax`, `mish`, `sigmoid`, `silu`, `softplus` and `tanh` are
differentiable everywhere.
"""

import jax
import jax.numpy as jnp
from jax.nn import celu as celu
from jax.nn import elu as elu
from jax.nn import gelu as gelu
from jax.nn import glu as glu
from jax.nn import hard_sigmoid as hard_sigmoid
from jax.nn import hard_silu as hard_silu
from jax.nn import hard_tanh as hard_tanh
from jax.nn import leaky_relu as leaky_relu
from jax.nn import log_softmax as log_softmax
from jax.nn import mish as mish
from jax.nn import relu6 as relu6
from jax.nn import selu as selu
from jax.nn import sigmoid as sigmoid
from jax.nn import silu as silu
from jax.nn import softplus as softplus
from jaxtyping import Array, Float

from cnn_jax.functional.checks import floating
from cnn_jax.lowering import promote_to_float32


def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rectified linear unit: replaces negative values by 0.

        relu(x) = max(x, 0)

    The gradient at 0 is defined as 0. NaN stays NaN.

    Args:
        x: Feature maps.

    Returns:
        Feature maps of the same shape, without negative values.

    Raises:
        TypeError: If `x` is not floating point.

    Example:
        >>> relu(jnp.array([-1.0, 0.0, 0.5]))
        Array([0. , 0. , 0.5], dtype=float32)

    Source:
        Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines",
        2010.
    """
    (x,) = floating(x=x)
    return jnp.where(x <= 0, jnp.zeros_like(x), x)


def tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Hyperbolic tangent: maps every value into −1 … 1.

        tanh(x) = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)

    Args:
        x: Feature maps.

    Returns:
        Feature maps of the same shape, with values between −1 and 1.

    Raises:
        TypeError: If `x` is not floating point.

    Example:
        >>> tanh(jnp.array([-20.0, 0.0, 20.0]))
        Array([-1.,  0.,  1.], dtype=float32)

    Source:
        LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
        recognition", 1998, whose units are scaled hyperbolic tangents.
    """
    (x,) = floating(x=x)
    return jnp.tanh(x)


def softmax(x: Float[Array, "*shape"], *, axis: int = -1) -> Float[Array, "*shape"]:
    """Converts logits to probabilities: positive values with sum 1.

        softmax(x)[j] = exp(x[j]) / Σ exp(x[k])

    The largest logit is subtracted first. This does not change the result, and keeps
    exp in range.

    Args:
        x: Logits.
        axis: The axis of the classes.

    Returns:
        Probabilities of the same shape.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` has no axis `axis`.

    Example:
        >>> softmax(jnp.array([0.0, jnp.log(3.0)])).round(2)
        Array([0.25, 0.75], dtype=float32)

    Source:
        Bridle, "Probabilistic Interpretation of Feedforward Classification Network
        Outputs, with Relationships to Statistical Pattern Recognition", 1990.
    """
    (x,) = floating(x=x)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"`axis` is {axis}, but `x` has {x.ndim} axes.")
    return jax.nn.softmax(promote_to_float32(x), axis=axis).astype(x.dtype)
