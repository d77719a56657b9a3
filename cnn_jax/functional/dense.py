"""Dense layers: every output reads every input."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.functional.checks import as_precision, floating
from cnn_jax.lowering import promote_to_float32


def dense(
    x: Float[Array, "*batch in_features"],
    kernel: Float[Array, "in_features out_features"],
    bias: Float[Array, " out_features"] | None = None,
    *,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "*batch out_features"]:
    """Multiplies `x` by a matrix and adds a bias.

        out[o] = bias[o] + Σ kernel[i, o] · x[i]

    The sum over i is taken in float32 or wider; the result has the dtype of `x`.

    Args:
        x: Features, on the last axis.
        kernel: A row per input feature and a column per output feature: the transpose
            of PyTorch's weight.
        bias: Added to each output; no bias by default.
        precision: Of the products in float32: None for JAX's default, a name such as
            `"highest"`, or a `jax.lax.Precision`.

    Returns:
        The output features, with the batch axes of `x`.

    Raises:
        TypeError: If an array is not floating point or of another dtype than `x`, `x`
            has no axes, or `kernel` does not have 2.
        ValueError: If `kernel` does not have a row per feature of `x`, or `bias` does
            not have an entry per column of `kernel`, or `precision` is unknown.

    Example:
        >>> kernel = jnp.array([[1.0, 0.0], [2.0, 1.0]])
        >>> dense(jnp.array([3.0, 4.0]), kernel, jnp.array([0.0, 0.5]))
        Array([11. ,  4.5], dtype=float32)

    Source:
        Rumelhart, Hinton & Williams, "Learning representations by back-propagating
        errors", Nature, 1986, equation 1.
    """
    arrays = {"x": x, "kernel": kernel} | ({} if bias is None else {"bias": bias})
    x, kernel, *rest = floating(**arrays)
    _check_sizes(x, kernel, *rest)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    precision = as_precision(precision)
    out = jnp.matmul(x, kernel, precision=precision, preferred_element_type=wide)
    for added in rest:
        out = out + jnp.broadcast_to(promote_to_float32(added), out.shape)
    return out.astype(x.dtype)


def _check_sizes(x: Array, kernel: Array, bias: Array | None = None) -> None:
    if x.ndim == 0:
        raise TypeError("`x` has 0 axes, but needs at least 1, for features.")
    if kernel.ndim != 2:
        raise TypeError(
            f"`kernel` has {kernel.ndim} axes, but needs 2: a row per input feature "
            "and a column per output feature."
        )
    reads, makes = kernel.shape
    if x.shape[-1] != reads:
        raise ValueError(
            f"`x` has {x.shape[-1]} features, but `kernel` reads {reads}: use a "
            f"kernel of shape ({x.shape[-1]}, {makes})."
        )
    if bias is not None and bias.shape != (makes,):
        raise ValueError(
            f"`bias` has shape {bias.shape}, but `kernel` makes {makes} features: use "
            f"a bias of shape ({makes},)."
        )
