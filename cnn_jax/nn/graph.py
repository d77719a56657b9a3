"""The graph convolution layer: a module that owns a matrix and a bias."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.experimental import sparse
from jax.nn.initializers import Initializer, he_uniform, zeros
from jax.typing import DTypeLike
from jaxtyping import Array

import cnn_jax.functional as F
from cnn_jax.functional.checks import as_precision, whole
from cnn_jax.nn.parameters import cast, computation_dtype, parameter


class GraphConv(nnx.Module):
    """A graph convolution: mixes the features of neighbouring nodes.

    See `functional.graph_conv` for the formula and the errors. The layer reads the pair
    (adjacency, features) and returns such a pair, so that layers stack in a Chain.

    Args:
        in_features: Number of features per node of the input.
        out_features: Number of features per node of the output.
        activation: Applied to the features; none by default.
        use_bias: Whether a trainable number is added to each feature.
        dtype: Dtype of the computation, to which the adjacency, the features, the
            kernel and the bias are cast; as in `Dense`. The adjacency is returned as it
            was given.
        param_dtype: Dtype in which the parameters are drawn and stored.
        precision: Of the products in float32, as in `functional.graph_conv`.
        kernel_init: Draws the kernel; by default uniformly with He et al.'s variance.
        bias_init: Draws the bias; zeros by default.
        rngs: Its stream `params` provides the keys.

    Raises:
        TypeError: If a dtype is not floating point.
        ValueError: If a number of features is below 1, or `precision` is unknown.

    Example:
        >>> layer = GraphConv(3, 5, activation=F.relu, rngs=nnx.Rngs(0))
        >>> adjacency, features = layer((jnp.eye(7), jnp.ones((7, 3))))
        >>> features.shape
        (7, 5)

    Source:
        Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional
        Networks", 2017, arXiv:1609.02907, equation 2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: Callable[[Array], Array] | None = None,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: lax.PrecisionLike = None,
        kernel_init: Initializer = he_uniform(),  # noqa: B008
        bias_init: Initializer = zeros,
        rngs: nnx.Rngs,
    ):
        in_features = whole(in_features, "in_features", minimum=1)
        out_features = whole(out_features, "out_features", minimum=1)
        self.activation = activation
        self.dtype = computation_dtype(dtype)
        self.precision = as_precision(precision)
        draw = partial(parameter, dtype=param_dtype, rngs=rngs)
        self.kernel = draw(kernel_init, (in_features, out_features))
        self.bias = draw(bias_init, (out_features,)) if use_bias else None

    def __call__(self, graph: tuple[Any, Array]) -> tuple[Any, Array]:
        """The same adjacency, and new features."""
        adjacency, features = graph
        features, kernel, bias = cast(self.dtype, features, self.kernel, self.bias)
        edges = self._cast_edges(adjacency)
        out = F.graph_conv(edges, features, kernel, precision=self.precision)
        if bias is not None:
            out = out + jnp.broadcast_to(bias, out.shape)
        return adjacency, out if self.activation is None else self.activation(out)

    def _cast_edges(self, adjacency: Any) -> Any:
        if not isinstance(adjacency, sparse.BCOO):
            return cast(self.dtype, adjacency)[0]
        (weights,) = cast(self.dtype, adjacency.data)
        return sparse.BCOO((weights, adjacency.indices), shape=adjacency.shape)
