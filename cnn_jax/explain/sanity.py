"""Do maps depend on what the network has learned? Its weights are randomised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from scipy import stats

from cnn_jax.explain.inputs import check_chain, prepared
from cnn_jax.explain.stages import compiled
from cnn_jax.nn import Chain


class Sanity(NamedTuple):
    """What `sanity` returns.

    Attributes:
        stages: The stages in the order in which they are randomised, the last first.
        correlations: Between the maps before and after each stage was randomised as
            well, (stages, inputs).
    """

    stages: tuple[str, ...]
    correlations: np.ndarray

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Mean and Student's interval over inputs of each stage, (stages, 3).

        Args:
            level: How often such an interval holds the true mean.
        """
        mean = self.correlations.mean(axis=1)
        count = self.correlations.shape[1]
        error = stats.sem(self.correlations, axis=1) if count > 1 else np.inf * mean
        reach = stats.t.interval(level, max(count - 1, 1))[1] * error
        return np.stack([mean, mean - reach, mean + reach], axis=-1)


def sanity(
    key: Array,
    method: Callable[[Chain, Array, Array], Any],
    net: Chain,
    x: Any,
    target: Any = None,
    *,
    absolute: bool = True,
) -> Sanity:
    """Rank correlation of maps before and after weights are randomised, top down.

    The parameters of the last stage are permuted at random, then also those of the
    stage before it, and so on to the first: their values stay, what was learned is
    gone. The map of a faithful method changes, so that the correlation falls; one that
    stays high marks edges of the input, whatever the network does.

    Args:
        key: Of the permutations.
        method: From (net, x, target) to scores, or to a tuple that begins with them,
            such as `saliency`. It is compiled once for all networks of one kind.
        net: The network, in evaluation mode.
        x: Several inputs, (inputs, …).
        target: A class for all inputs, one for each, or None for the largest logit of
            the network before it is changed.
        absolute: Whether the sizes of scores are compared, without their signs.

    Returns:
        Spearman's rank correlation over all scores of an input, after every stage with
        parameters; 0 where a map is constant.

    Raises:
        TypeError: If `net` is no Chain, or `x` or `target` is of another kind.
        ValueError: If a target is outside the classes, or `net` is in training mode.

    Example:
        >>> from cnn_jax.explain import saliency
        >>> from cnn_jax.nn import Dense
        >>> net = Chain({"classifier": Dense(20, 3, rngs=nnx.Rngs(0))})
        >>> found = sanity(jax.random.key(0), saliency, net, jnp.ones((2, 20)), 1)
        >>> found.stages, bool(abs(found.correlations).max() < 0.6)
        (('classifier',), True)

    Source:
        Adebayo et al., "Sanity checks for saliency maps", 2018, arXiv:1810.03292,
        section 3.1.
    """
    check_chain(net)
    x, target = prepared(net, x, target)
    graph, state, rest = nnx.split(net, nnx.Param, ...)
    scores = _Scores(method, absolute)

    def scored(state: Any) -> np.ndarray:
        changed = nnx.merge(graph, state, rest)
        return np.asarray(compiled(scores, changed)(x, target))

    before = scored(state)
    stages, found = [], []
    for path, changed in _randomised(key, net, state):
        stages.append(path)
        found.append(_rank_correlations(before, scored(changed)))
    return Sanity(tuple(stages), np.array(found))


@dataclass(frozen=True)
class _Scores:
    """The scores of a method, (inputs, scores); equal records share a program."""

    method: Callable[[Chain, Array, Array], Any]
    absolute: bool

    def __call__(self, net: Chain, x: Array, target: Array) -> Array:
        found = jax.tree.leaves(self.method(net, x, target))[0].reshape(len(x), -1)
        return jnp.abs(found) if self.absolute else found


def _randomised(key: Array, net: Chain, state: Any) -> Iterator[tuple[str, Any]]:
    """Each stage with parameters from the last on, and the state with it permuted."""
    values = dict(nnx.to_flat_state(state))
    for stage in reversed([path for path, _ in net.steps()]):
        own = [path for path in values if f"{_joined(path)}/".startswith(f"{stage}/")]
        for path in own:
            key, drawn = jax.random.split(key)
            value = values[path]
            mixed = jax.random.permutation(drawn, value[...].reshape(-1))
            values[path] = value.replace(mixed.reshape(value.shape))
        if own:
            yield stage, nnx.from_flat_state(list(values.items()))


def _joined(path: tuple[Any, ...]) -> str:
    """The path of a parameter, written as that of a stage."""
    return "/".join(str(key) for key in path if key != "stages")


def _rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row with the other's; 0 for constant rows."""
    ranks = [stats.rankdata(scores, axis=1) for scores in (one, other)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    sizes = np.prod([np.linalg.norm(rank, axis=1) for rank in centred], axis=0)
    products = (centred[0] * centred[1]).sum(axis=1)
    return np.where(sizes > 0, products / np.where(sizes > 0, sizes, 1), 0.0)
