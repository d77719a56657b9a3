"""Graph convolution: sums over the neighbours of a node in a graph."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.experimental import sparse
from jaxtyping import Array, Float

from cnn_jax.functional.checks import as_precision, floating
from cnn_jax.lowering import promote_to_float32


def graph_conv(
    adjacency: Float[Array, "..."] | sparse.BCOO,
    features: Float[Array, "*batch nodes in_features"],
    weights: Float[Array, "in_features out_features"],
    *,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "*batch nodes out_features"]:
    """Graph convolution with symmetric normalization.

        out = D^(−½) · (A + I) · D^(−½) · X · W,  D[i, i] = 1 + Σ A[i, j] over j

    The identity I connects every node to itself; D gives edges of nodes with many
    neighbours a smaller weight.

    Args:
        adjacency: A, (*batch, nodes, nodes): A[i, j] ≥ 0 is the weight of the edge
            between i and j. Without batch axes it applies to all graphs of a batch. It
            may be sparse, a `jax.experimental.sparse.BCOO` without batch axes.
        features: X, a row per node.
        weights: W.
        precision: Of the products in float32: None for JAX's default, a name such as
            `"highest"`, or a `jax.lax.Precision`. JAX has none for the product with a
            sparse `adjacency`.

    Returns:
        A row of new features per node.

    Raises:
        TypeError: If an array is not floating point or has too few axes.
        ValueError: If `adjacency` is not square, or the nodes, features or batch axes
            of the three do not match, or `precision` is unknown.

    Example:
        >>> all_friends = 1 - jnp.eye(4)
        >>> features = jnp.array([[1.0], [2.0], [3.0], [6.0]])
        >>> graph_conv(all_friends, features, jnp.ones((1, 1)))[:, 0]
        Array([3., 3., 3., 3.], dtype=float32)

    Source:
        Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional
        Networks", 2017, arXiv:1609.02907, equation 2.
    """
    features, weights = floating(features=features, weights=weights)
    if isinstance(adjacency, sparse.BCOO):
        (data, _) = floating(adjacency=adjacency.data, features=features)
        edges = sparse.BCOO(
            (promote_to_float32(data), adjacency.indices), shape=adjacency.shape
        )
    else:
        (adjacency, _) = floating(adjacency=adjacency, features=features)
        edges = promote_to_float32(adjacency)
    _check_graph(edges, features, weights)
    precision = as_precision(precision)
    gather = partial(_from_neighbours, edges, precision=precision)
    wide = promote_to_float32(features), promote_to_float32(weights)
    mixed = jnp.matmul(*wide, precision=precision)
    degree = 1 + gather(jnp.ones_like(mixed[..., :1]))
    narrow = jnp.broadcast_to(lax.rsqrt(degree), mixed.shape)
    shared = mixed * narrow
    out = (gather(shared) + shared) * narrow
    return out.astype(features.dtype)


def _from_neighbours(edges: Any, rows: Array, *, precision: lax.PrecisionLike) -> Array:
    """A · X, also for one sparse A and a batch of X."""
    if not isinstance(edges, sparse.BCOO):
        return jnp.matmul(edges, rows, precision=precision)
    nodes = jnp.moveaxis(rows, -2, 0)
    out = edges @ nodes.reshape(len(nodes), -1)
    return jnp.moveaxis(out.reshape(nodes.shape), 0, -2)


def _check_graph(edges: Any, features: Array, weights: Array) -> None:
    given = {"adjacency": edges, "features": features, "weights": weights}
    for name, array in given.items():
        if array.ndim < 2:
            raise TypeError(f"`{name}` has {array.ndim} axes, but needs at least 2.")
    rows, columns = edges.shape[-2:]
    if rows != columns:
        raise ValueError(
            f"`adjacency` is {rows} × {columns}, but must be square: a row and a "
            "column per node."
        )
    if features.shape[-2] != rows:
        raise ValueError(
            f"`features` has {features.shape[-2]} nodes, but `adjacency` has {rows}: "
            "both need a row per node."
        )
    if weights.ndim != 2 or weights.shape[0] != features.shape[-1]:
        raise ValueError(
            f"`weights` has shape {weights.shape}, but `features` has "
            f"{features.shape[-1]} per node: use weights of shape "
            f"({features.shape[-1]}, out_features)."
        )
    if edges.ndim > 2 and edges.shape[:-2] != features.shape[:-2]:
        raise ValueError(
            f"`adjacency` has batch axes {edges.shape[:-2]}, but `features` has "
            f"{features.shape[:-2]}: use the same batch axes, or none in `adjacency`."
        )
    if isinstance(edges, sparse.BCOO) and edges.ndim != 2:
        raise TypeError(
            f"`adjacency` is sparse and has {edges.ndim} axes, but needs 2: use one "
            "matrix for all graphs of a batch."
        )
