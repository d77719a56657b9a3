"""One step of training: pure functions of split state, compiled once per network."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from cnn_jax.lowering import compiler_options
from cnn_jax.training.metrics import Loss, Sums, sums

Augment = Callable[[Array, Array], Array]


class State(NamedTuple):
    """Everything that a step changes."""

    params: nnx.State
    rest: nnx.State
    opt_state: optax.OptState
    key: Array


class Recipe(NamedTuple):
    """Everything that a step never changes, and what it is compiled for."""

    graph: nnx.GraphDef
    loss: Loss
    optimizer: optax.GradientTransformation
    batch_size: int
    augment: Augment | None


def start(recipe: Recipe, params: nnx.State, rest: nnx.State, key: Array) -> State:
    """The state before the first step."""
    return State(params, rest, recipe.optimizer.init(params), key)


def shuffled(key: Array, examples: int, batch_size: int) -> Array:
    """Every example once, in an order drawn by key.

    The last batch is filled up from the front once more. A filler is written as ~row,
    which is negative: its loss does not count, but statistics of the batch, which
    cannot be masked, see examples like any others.
    """
    # A stream of its own: the steps split the same key for their own chance.
    order = jax.random.permutation(jax.random.fold_in(key, 0), examples)
    return jnp.concatenate([order, ~jnp.resize(order, (-examples % batch_size,))])


def train_step(
    recipe: Recipe, state: State, inputs: Array, labels: Array, order: Array, i: Array
) -> tuple[State, Sums]:
    """Learns from the i-th batch of an order, and says how it fared before."""
    at = jax.lax.dynamic_slice_in_dim(order, i * recipe.batch_size, recipe.batch_size)
    mask, rows = (at >= 0).astype(jnp.float32), jnp.maximum(at, ~at)
    x, y = inputs[rows], labels[rows]
    key, now = jax.random.split(state.key)
    if recipe.augment is not None:
        x = recipe.augment(now, x)

    def mean_loss(params: nnx.State) -> tuple[Array, tuple[nnx.State, Sums]]:
        net: Any = nnx.merge(recipe.graph, params, state.rest, copy=True)
        found = sums(recipe.loss, net(x), y, mask)
        rest: Any = nnx.split(net, nnx.Param, ...)[2]
        return found["loss"] / found["count"], (rest, found)

    gradient, (rest, found) = jax.grad(mean_loss, has_aux=True)(state.params)
    updates, opt_state = recipe.optimizer.update(
        gradient, state.opt_state, state.params
    )
    params: Any = optax.apply_updates(state.params, updates)
    return State(params, rest, opt_state, key), found


def train_steps(
    recipe: Recipe,
    state: State,
    inputs: Array,
    labels: Array,
    order: Array,
    first: Array,
    last: Array,
) -> tuple[State, Sums]:
    """The steps from `first` up to `last`, and their sums together.

    Several in one dispatch spare the way through Python and, on a CPU, fresh memory for
    every step.
    """
    one = jax.jit(partial(train_step, recipe))  # So that it is traced once.

    def step(i: Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
        state, found = one(carry[0], inputs, labels, order, i)
        return state, jax.tree.map(jnp.add, carry[1], found)

    _, found = jax.eval_shape(one, state, inputs, labels, order, first)
    nothing = jax.tree.map(jnp.zeros_like, found)
    return jax.lax.fori_loop(first, last, step, (state, nothing))


class Steps(NamedTuple):
    """The compiled functions of one recipe, for one network or for many at once."""

    start: Callable[..., State]
    shuffled: Callable[..., Array]
    train_steps: Callable[..., tuple[State, Sums]]
    weights: Callable[[State], list[tuple[nnx.State, nnx.State]]]


@lru_cache(maxsize=32)  # Equal networks under equal recipes share one compilation.
def compiled(
    recipe: Recipe, *, examples: int, many: int | None, own_data: bool
) -> Steps:
    """The functions of a recipe, jit-compiled; with `many`, mapped over networks.

    Args:
        recipe: What never changes.
        examples: How many there are to shuffle.
        many: How many networks there are, or None for one that stands by itself.
        own_data: Whether inputs and labels have a leading axis, one entry per network.

    Returns:
        `start`, from each network's (params, rest) and a key; `shuffled`;
        `train_steps`, which takes over its state's buffers; and `weights`, a copy of
        each network's.
    """
    begin = partial(start, recipe)
    shuffle = partial(shuffled, examples=examples, batch_size=recipe.batch_size)
    steps = partial(train_steps, recipe)
    fast = partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())
    if many is None:

        def begin_one(parts: Any, key: Array) -> State:
            params, rest = jax.tree.map(jnp.copy, parts[0])
            return begin(params, rest, key)

        return Steps(
            jax.jit(begin_one),
            jax.jit(shuffle),
            fast(steps),
            jax.jit(lambda state: [jax.tree.map(jnp.copy, (state.params, state.rest))]),
        )
    data = 0 if own_data else None

    def begin_all(parts: Any, key: Array) -> State:
        params, rest = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
        return jax.vmap(begin)(params, rest, jax.random.split(key, many))

    def weights(state: State) -> list[tuple[nnx.State, nnx.State]]:
        trained = (state.params, state.rest)
        return [jax.tree.map(lambda leaf, i=i: leaf[i], trained) for i in range(many)]

    return Steps(
        jax.jit(begin_all),
        jax.jit(jax.vmap(shuffle)),
        fast(jax.vmap(steps, in_axes=(0, data, data, 0, None, None))),
        jax.jit(weights),
    )
