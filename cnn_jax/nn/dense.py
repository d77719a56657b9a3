"""The dense layer: a module that owns a matrix and a bias."""

import math
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.nn.initializers import Initializer, he_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax.functional.checks import as_precision, whole
from cnn_jax.nn.parameters import cast, computation_dtype, parameter


class Dense(nnx.Module):
    """A fully connected layer: every output is a weighted sum of all inputs.

        out[o] = bias[o] + Σ kernel[i, o] · x[i]

    See `functional.dense` for the errors. Feature maps are flattened in the order
    height, width, channels.

    Args:
        in_features: Number of inputs: the length of the last axis, or the shape of the
            last axes, such as (4, 4, 16) for 16 maps of 4 × 4.
        out_features: Number of outputs.
        use_bias: Whether a trainable number is added to each output.
        dtype: Dtype of the computation, to which the input, the kernel and the bias
            are cast. By default nothing is cast, and arrays of different dtypes are
            refused. Flax would promote them, which turns a bfloat16 network into a
            float32 one without a message.
        param_dtype: Dtype in which the parameters are drawn and stored.
        precision: Of the products in float32, as in `functional.dense`.
        kernel_init: Draws the kernel; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` provides the keys.

    Raises:
        TypeError: If a dtype is not floating point.
        ValueError: If a number of features is below 1, or `precision` is unknown; when
            called, if the last axes of `x` are not `in_features`.

    Example:
        >>> layer = Dense((4, 4, 16), 10, rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((32, 4, 4, 16))).shape
        (32, 10)

    Source:
        He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", 2015, arXiv:1502.01852,
        equation 10; Flax, flax.nnx.Linear.
    """

    def __init__(
        self,
        in_features: int | Sequence[int],
        out_features: int,
        *,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        shape = in_features if isinstance(in_features, Sequence) else (in_features,)
        self.in_shape = tuple(whole(n, "in_features", minimum=1) for n in shape)
        out_features = whole(out_features, "out_features", minimum=1)
        self.dtype = computation_dtype(dtype)
        self.precision = as_precision(precision)
        draw = partial(parameter, dtype=param_dtype, rngs=rngs)
        self.kernel = draw(kernel_init, (math.prod(self.in_shape), out_features))
        self.bias = draw(bias_init, (out_features,)) if use_bias else None

    def __call__(
        self, x: Float[Array, "... in_features"]
    ) -> Float[Array, "... out_features"]:
        """The outputs for `x`, with its batch axes."""
        axes = len(self.in_shape)
        if x.shape[-axes:] != self.in_shape:
            raise ValueError(
                f"`x` ends in {x.shape[-axes:]}, but this layer reads {self.in_shape}: "
                "reshape `x`, or make the layer with these `in_features`."
            )
        flat = x.reshape(*x.shape[:-axes], self.kernel.shape[0])
        return F.dense(
            *cast(self.dtype, flat, self.kernel, self.bias), precision=self.precision
        )
