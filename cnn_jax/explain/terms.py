"""The arithmetic of a unit: the products that were added, and the bias."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.explain.inputs import as_input, check_chain, check_network
from cnn_jax.nn import Chain
from cnn_jax.nn.chain import Block
from cnn_jax.nn.walk import INPUT, walk

Position = tuple[int, ...]


class Term(NamedTuple):
    """One product of a sum.

    Attributes:
        source: The stage whose output is the factor; `""` for the network's input.
        position: Of the factor in that output.
        input: The factor that was computed.
        weight: The factor by which it is multiplied.
        product: Of both.
    """

    source: str
    position: Position
    input: float
    weight: float
    product: float


@dataclass(frozen=True, eq=False)
class Terms:
    """The value of a unit as a bias and a sum of products.

        value = bias + Σ over sources and positions i of  input[i] · weight[i]

    Args:
        path: The stage of the unit.
        position: Of the unit in the output of the stage.
        value: What the network computes there.
        bias: What is added to the products.
        inputs: Source → the values that the stage reads.
        weights: Source → the weight of each of them.
    """

    path: str
    position: Position
    value: Array
    bias: Array
    inputs: dict[str, Array]
    weights: dict[str, Array]

    @property
    def products(self) -> dict[str, Array]:
        """Source → the products, with the shape of the source."""
        return {name: self.inputs[name] * self.weights[name] for name in self.inputs}

    def rows(self, count: int | None = None) -> list[Term]:
        """The products with a weight other than 0, the largest in size first.

        Args:
            count: How many; by default all.
        """
        found = []
        for source, weights in self.weights.items():
            factors, inputs = np.asarray(weights), np.asarray(self.inputs[source])
            for at in zip(*np.nonzero(factors), strict=True):
                pair = float(inputs[at]), float(factors[at])
                position = tuple(int(i) for i in at)
                found.append(Term(source, position, *pair, pair[0] * pair[1]))
        return sorted(found, key=lambda term: -abs(term.product))[:count]


def terms(
    net: Chain,
    x: Any,
    cut: str,
    position: Sequence[int],
    *,
    source: str | None = None,
) -> Terms:
    """The products and the bias that a unit is the sum of.

        value = bias + Σᵢ input[i] · weight[i],  weight = ∂ value / ∂ input

    For convolutions, dense layers, means and normalization by stored statistics, the
    weights are those of the stage and `bias` is its bias. Of a maximum or a ReLU, the
    weight is 1 where the input passes and 0 elsewhere. Of any other function, such as
    tanh, softmax or a logarithm, the products are those of its tangent, and `bias` is
    the rest.

    Each term leads on: `terms(net, x, term.source, term.position)` is its own
    arithmetic, down to the input.

    Args:
        net: The network, in evaluation mode.
        x: One input, without batch axes.
        cut: The stage of the unit; any path that `nn.summary` prints.
        position: Of the unit in the output of that stage, such as (row, column,
            channel).
        source: The value whose numbers are the inputs: by default what the stage itself
            reads; `""` for the network's input, so that pixels are weighted; or a stage
            before `cut` that is outside of blocks.

    Returns:
        The sum. Of a block, the sources are its input and the ends of its branches.

    Raises:
        TypeError: If `net` is no Chain, or `x` is an array of whole numbers.
        ValueError: If there is no such stage, `position` is outside its output, or
            `net` is in training mode.

    Example:
        >>> weights = jnp.array([[2.0], [-1.0], [0.0]])
        >>> net = Chain({"classifier": lambda x: x @ weights + 0.5})
        >>> found = terms(net, jnp.array([3.0, 4.0, 5.0]), "classifier", (0,))
        >>> float(found.value), float(found.bias)
        (2.5, 0.5)
        >>> found.rows()[0]
        Term(source='', position=(0,), input=3.0, weight=2.0, product=6.0)

    Source:
        Rohrer, "How Convolutional Neural Networks Work", 2016, which adds up one filter
        by hand; Montavon et al., "Explaining nonlinear classification decisions with
        deep Taylor decomposition", 2015, arXiv:1512.02479, equation 3.
    """
    check_chain(net)
    check_network("net", net)
    x = as_input("x", x) if hasattr(x, "dtype") else x
    if source is None:
        return _Walked(net, x).terms(cut, position)
    after = source or None
    value = x if after is None else net.run(x, upto=source)
    function = lambda v: net.run(v, after=after, upto=cut)  # noqa: E731
    return _terms(cut, position, function, {source: value})


def largest_terms(
    net: Chain, x: Any, cut: str, position: Sequence[int]
) -> Iterator[Terms]:
    """The arithmetic of a unit, of its largest term, and so on down to the input.

    Args:
        net: The network, in evaluation mode.
        x: One input, without batch axes.
        cut: The stage of the unit.
        position: Of the unit in the output of that stage.

    Yields:
        Sums; the inputs of the last one are numbers of the input, unless all of its
        products are 0.

    Raises:
        TypeError: As of `terms`.
        ValueError: As of `terms`.

    Example:
        >>> net = Chain({"double": lambda x: 2 * x, "mean": lambda x: x.mean()[None]})
        >>> x = jnp.array([1.0, 5.0])
        >>> [sums.path for sums in largest_terms(net, x, "mean", (0,))]
        ['mean', 'double']

    Source:
        As of `terms`.
    """
    check_chain(net)
    check_network("net", net)
    walked = _Walked(net, as_input("x", x) if hasattr(x, "dtype") else x)
    while cut != INPUT:
        found = walked.terms(cut, position)
        yield found
        if not (rows := found.rows(1)) or not rows[0].product:
            return
        cut, position = rows[0].source, rows[0].position


class _Walked:
    """The stages of a network by path, and what they return for one input."""

    def __init__(self, net: Chain, x: Any):
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), x)
        self.nodes = {node.path: node for node in walk(net, shapes)}
        self.values = {INPUT: x}
        for path, node in self.nodes.items():
            read = [self.values[source] for source in node.sources]
            self.values[path] = _run(node.stage, read)

    def terms(self, cut: str, position: Sequence[int]) -> Terms:
        """The arithmetic of a unit, from what its stage reads."""
        inside = [path for path in self.nodes if f"{path}/".startswith(f"{cut}/")]
        path = cut if cut in self.nodes else (inside or [""])[-1]
        if not path:
            raise ValueError(
                f"there is no stage {cut!r}; the stages are {list(self.nodes)}."
            )
        node = self.nodes[path]
        read = {source: self.values[source] for source in node.sources}
        return _terms(
            path,
            position,
            lambda *values: _run(
                node.stage,
                [dict(zip(read, values, strict=True))[name] for name in node.sources],
            ),
            read,
        )


def _run(stage: Any, values: Sequence[Any]) -> Any:
    """The output of a stage, of a block from its input and its branches."""
    return stage.join(*values) if isinstance(stage, Block) else stage(*values)


def _terms(path: str, position: Sequence[int], function: Any, read: dict) -> Terms:
    """The arithmetic of a unit of `function`, which reads the values of `read`."""
    position = tuple(position)
    floats = {name: _numbers(value)[1] for name, value in read.items()}

    def unit(floats: dict[str, Array]) -> Array:
        values = [_with_numbers(read[name], floats[name]) for name in read]
        found = _numbers(function(*values))[1]
        _check_position(path, position, found.shape)
        return found[position]

    value, tangent = jax.jvp(unit, (floats,), (floats,))
    weights = jax.grad(unit)(floats)
    return Terms(path, position, value, value - tangent, floats, weights)


def _numbers(value: Any) -> tuple[int, Array]:
    """The last array of floats of a tree, and its index among the leaves.

    Of maxima and their indices these are the maxima, of a graph the features.
    """
    leaves = jax.tree.leaves(value)
    index = max(
        i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)
    )
    return index, leaves[index]


def _with_numbers(value: Any, numbers: Array) -> Any:
    """The tree with other numbers in place of its last array of floats."""
    leaves, structure = jax.tree.flatten(value)
    leaves[_numbers(value)[0]] = numbers
    return jax.tree.unflatten(structure, leaves)


def _check_position(path: str, position: Position, shape: tuple[int, ...]) -> None:
    if len(position) != len(shape) or not all(
        0 <= at < n for at, n in zip(position, shape, strict=True)
    ):
        raise ValueError(
            f"`position` is {position}, but the output of {path!r} has shape {shape}."
        )
