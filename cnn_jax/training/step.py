"""One training step: pure functions of split state, compiled once per network."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array

from cnn_jax.data import cutmix, mixup
from cnn_jax.data.augment import Augment
from cnn_jax.data.dataset import floats
from cnn_jax.lowering import compiler_options
from cnn_jax.tasks import Task
from cnn_jax.tasks.metrics import Metrics
from cnn_jax.training.mesh import constrain_everywhere, constrain_rows, constrain_state


class State(NamedTuple):
    """Everything that a step reads or changes, except the data."""

    params: nnx.State  # Trained weights.
    frozen: nnx.State  # Weights that are not trained.
    rest: nnx.State  # Batch statistics and RNG state.
    opt_state: optax.OptState
    average: tuple[nnx.State, nnx.State] | None  # Of params and rest.
    key: chex.PRNGKey  # Of the run; each step and epoch derives its own.
    step: Array  # The number of steps taken.
    halted: Array  # Whether the next step would give NaN or infinity.
    total: Metrics  # Sums since the last record.


class StepSpec(NamedTuple):
    """Everything that is static in a step."""

    graph: nnx.GraphDef
    trained: Any  # The filter of `params`.
    task: Task
    optimizer: optax.GradientTransformation
    batch_size: int
    augment: Augment | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    half: bool = False
    accumulate: int = 1
    ema: float | None = None
    heads: tuple[tuple[str, float], ...] = ()
    after: str | None = None  # The stage whose outputs are the inputs.
    metrics: tuple[str, ...] = ("loss", "count", "error")


Parts = tuple[nnx.State, nnx.State, nnx.State]
Batch = tuple[Any, Any, Array]  # Inputs, labels, and a mask with 0 for padding rows.


def start(spec: StepSpec, parts: Parts, key: chex.PRNGKey) -> State:
    """The state before the first step."""
    params, frozen, rest = parts
    return State(
        params=params,
        frozen=frozen,
        rest=rest,
        opt_state=spec.optimizer.init(params),
        average=None if spec.ema is None else (params, rest),
        key=key,
        step=jnp.int32(0),
        halted=jnp.array(False),
        total={name: jnp.zeros(()) for name in spec.metrics},
    )


def train_step(
    spec: StepSpec, state: State, batch: Batch, mesh: Mesh | None = None
) -> State:
    """Takes a step on a batch, and adds its metrics to `total`.

    A step whose loss or weights would not be finite is not taken, nor is any after it.
    The new state is computed inside the branch that keeps it, so that no copy of the
    old state is made only to choose between the two.
    """
    gradient, rest, found = gradients(spec, state, batch, mesh)
    params, _ = _updated(spec, state, gradient)
    fine = jnp.isfinite(found["loss"]) & ~state.halted & finite(params)

    def taken(state: State, gradient: nnx.State, rest: nnx.State) -> State:
        params, opt_state = _updated(spec, state, gradient)
        average = state.average
        if spec.ema is not None:
            average = _averaged(average, (params, rest), spec.ema, state.step + 1)
        return state._replace(
            params=params,
            rest=rest,
            opt_state=opt_state,
            average=average,
            step=state.step + 1,
            total=jax.tree.map(
                lambda total, x: total + x.astype(total.dtype), state.total, found
            ),
        )

    def refused(state: State, gradient: nnx.State, rest: nnx.State) -> State:
        return state._replace(halted=jnp.array(True))

    return jax.lax.cond(fine, taken, refused, state, gradient, rest)


def _updated(
    spec: StepSpec, state: State, gradient: nnx.State
) -> tuple[Any, optax.OptState]:
    """The weights and the optimizer's state after a step."""
    updates, opt_state = spec.optimizer.update(gradient, state.opt_state, state.params)
    return optax.apply_updates(state.params, updates), opt_state


def gradients(
    spec: StepSpec, state: State, batch: Batch, mesh: Mesh | None = None
) -> tuple[nnx.State, nnx.State, Metrics]:
    """The gradient of the mean loss, the new `rest`, and the metrics.

    Weights that are split over devices are brought together first, and their gradients
    are split again: otherwise the compiler may gather activations instead.
    """
    state = state._replace(
        params=constrain_everywhere(mesh, state.params),
        frozen=constrain_everywhere(mesh, state.frozen),
        rest=constrain_everywhere(mesh, state.rest),
    )

    def gradient_of(*arguments: Any) -> Any:
        objective = partial(_objective, spec, state.frozen)
        gradient, others = jax.grad(objective, has_aux=True)(*arguments)
        return constrain_state(mesh, gradient), others

    parts = in_parts(spec, state, batch)
    first = jax.tree.map(lambda x: x[0], parts)
    if spec.accumulate == 1:
        total, (rest, found) = gradient_of(state.params, state.rest, *first)
    else:
        like = jax.eval_shape(gradient_of, state.params, state.rest, *first)
        nothing = _zeros((like[0], like[1][1]))

        def add(carry: Any, part: Any) -> tuple[Any, None]:
            rest, totals = carry
            gradient, (rest, found) = gradient_of(state.params, rest, *part)
            return (rest, _plus(totals, (gradient, found))), None

        carry, _ = jax.lax.scan(add, (state.rest, nothing), parts)
        rest, (total, found) = carry
    return jax.tree.map(lambda g: g / found["count"], total), rest, found


def in_parts(spec: StepSpec, state: State, batch: Batch) -> tuple[Batch, Array]:
    """The parts that a batch is cut into to save memory, each with a key.

    Part i has the rows i, i + accumulate, …: on several devices each device keeps its
    own rows.
    """
    cut = jax.tree.map(
        lambda x: x.reshape(-1, spec.accumulate, *x.shape[1:]).swapaxes(0, 1), batch
    )
    key = jax.random.fold_in(jax.random.split(state.key)[1], state.step)
    return cut, jax.random.split(key, spec.accumulate)


def _objective(
    spec: StepSpec,
    frozen: nnx.State,
    params: nnx.State,
    rest: nnx.State,
    batch: Batch,
    key: chex.PRNGKey,
) -> tuple[Array, tuple[nnx.State, Metrics]]:
    """The summed loss of a batch with its auxiliary heads; the new `rest`, metrics."""
    x, targets = augmented(spec, batch, key)
    outputs, rest = forward(spec, params, frozen, rest, x)

    def metrics(outputs: Any) -> Metrics:
        parts = [
            jax.tree.map(
                lambda s, a=share: a * s, spec.task.metrics(outputs, y, batch[2])
            )
            for share, y in targets
        ]
        return parts[0] if len(parts) == 1 else _plus(*parts)

    found = metrics(outputs[0])
    total = found["loss"]
    for head, (_, weight) in zip(outputs[1:], spec.heads, strict=True):
        total = total + weight * metrics(head)["loss"]
    return total, (rest, found)


def augmented(
    spec: StepSpec, batch: Batch, key: chex.PRNGKey
) -> tuple[Any, list[tuple[Any, Any]]]:
    """The inputs after augmentation; and the labels, each with its weight."""
    x, y, _ = batch
    keys = jax.random.split(key)
    x = floats(x)
    if spec.augment is not None:
        x = spec.augment(keys[0], x)
    if not (spec.mixup or spec.cutmix):
        return x, [(1.0, y)]
    x, partner, share = _mixed(spec, keys[1], x)
    other = jax.tree.map(lambda array: array[partner], y)
    return x, [(share, y), (1 - share, other)]


def _mixed(spec: StepSpec, key: chex.PRNGKey, x: Any) -> tuple[Any, Array, Array]:
    """Mixup or cutmix; if both are on, a fair coin decides for the batch."""
    if not spec.cutmix:
        return mixup(key, x, alpha=spec.mixup)
    if not spec.mixup:
        return cutmix(key, x, alpha=spec.cutmix)
    coin, key = jax.random.split(key)
    return jax.lax.cond(
        jax.random.bernoulli(coin),
        partial(mixup, alpha=spec.mixup),
        partial(cutmix, alpha=spec.cutmix),
        key,
        x,
    )


def forward(
    spec: StepSpec, params: nnx.State, frozen: nnx.State, rest: nnx.State, x: Any
) -> tuple[list[Any], nnx.State]:
    """The outputs, then those of trained auxiliary heads; and the new `rest`."""
    net, x = merged(spec, params, frozen, rest, x)
    if spec.heads:
        every = net.with_heads(x)
        outputs = [every[net.names[-1]], *(every[name] for name, _ in spec.heads)]
    else:
        outputs = [net.run(x, after=spec.after)]
    new: Any = nnx.split(net, spec.trained, nnx.Param, ...)[3]
    if spec.half:
        outputs = jax.tree.map(_full, outputs)
    return outputs, new


def merged(
    spec: StepSpec, params: nnx.State, frozen: nnx.State, rest: nnx.State, x: Any
) -> tuple[Any, Any]:
    """The network and its input, in the precision of the computation."""
    if spec.half:
        params, frozen, x = in_half((params, frozen, x))
    return nnx.merge(spec.graph, params, frozen, rest, copy=True), x


def in_half(tree: Any) -> Any:
    """A tree with bfloat16 in place of float32."""
    return jax.tree.map(_half, tree)


def _half(x: Array) -> Array:
    return x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x


def _full(x: Array) -> Array:
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def _plus(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)


def _zeros(like: Any) -> Any:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)


def _averaged(old: Any, new: Any, decay: float, count: Array) -> Any:
    """The debiased exponential moving average of floats; other values are replaced.

    With a_t the average after t steps and d its decay,

        a_t = a_{t−1} + (new − a_{t−1}) · (1 − d) / (1 − d^t)

    which is `optax.ema(d, debias=True)`, kept in its debiased form: a_1 is the first
    value, and the initial weights have no influence.
    """
    share = (1 - decay) / -jnp.expm1(count * jnp.log(decay)) if decay else 1.0

    def move(old: Array, new: Array) -> Any:
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        return optax.incremental_update(new, old, share)

    return jax.tree.map(move, old, new)


def finite(tree: Any) -> Array:
    """Whether every float in a tree is finite."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(x).all() for x in floats]).all()


class Layout(NamedTuple):
    """How networks, their data and devices are laid out."""

    together: int = 1  # Networks that are stacked in one state.
    own_data: bool = False  # Whether inputs have a leading axis, one for each network.
    streamed: bool = False  # Whether inputs have a leading axis, one for each step.
    mesh: Mesh | None = None


def train_steps(
    spec: StepSpec,
    layout: Layout,
    state: State,
    inputs: chex.ArrayTree,
    labels: chex.ArrayTree,
    order: Array,
    begin: Array,
    count: Array,
) -> tuple[State, Array]:
    """Takes `count` steps; also returns whether one of them was not finite.

    Several steps in one dispatch avoid the overhead of Python and, on a CPU, new memory
    for every step. `order` holds the rows of each step from `begin` on.
    """
    first = state.step - begin

    def step(i: Array, state: State) -> State:
        at = order[first + i]
        rows = first + i if layout.streamed else jnp.maximum(at, ~at)
        rows = rows if layout.streamed else constrain_rows(layout.mesh, rows)
        x, y = jax.tree.map(lambda array: array[rows], (inputs, labels))
        batch = constrain_rows(layout.mesh, (x, y, (at >= 0).astype(jnp.float32)))
        return constrain_state(layout.mesh, train_step(spec, state, batch, layout.mesh))

    state = jax.lax.fori_loop(0, count, step, state)
    return state, jnp.copy(state.halted)


def weights(state: State) -> tuple[nnx.State, nnx.State]:
    """The variables for evaluation: the moving average if there is one."""
    return state.average or (state.params, state.rest)


@partial(jax.jit, static_argnums=1)
def copied(tree: Any, row: int | None = None) -> Any:
    """Copies that no step reuses; of one network where several are stacked."""
    return jax.tree.map(lambda x: jnp.copy(x if row is None else x[row]), tree)


@partial(jax.jit, donate_argnums=0)
def cleared(total: Metrics) -> Metrics:
    """The same batch_metrics, with nothing added up."""
    return jax.tree.map(jnp.zeros_like, total)


class Steps(NamedTuple):
    """The compiled functions of one specification."""

    start: Callable[[Sequence[Parts], Array], State]
    train_steps: Callable[..., tuple[State, Array]]


@lru_cache(maxsize=32)  # Equal networks with equal options share one compilation.
def compiled(spec: StepSpec, layout: Layout) -> Steps:
    """Compiles the functions of a specification; maps several networks by `vmap`.

    Args:
        spec: The static part of a step.
        layout: How networks, their data and devices are laid out.

    Returns:
        `start`, from the parts of each network and as many keys; and `train_steps`,
        which takes over its state's buffers.
    """
    steps = partial(train_steps, spec, layout)
    fast = partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())

    def begin(parts: Parts, key: Array) -> State:
        return constrain_state(layout.mesh, start(spec, parts, key))

    if layout.together == 1:

        def begin_one(parts: Sequence[Parts], keys: Array) -> State:
            return begin(jax.tree.map(jnp.copy, parts[0]), keys[0])

        return Steps(jax.jit(begin_one), fast(steps))
    data = 0 if layout.own_data else None

    def begin_all(parts: Sequence[Parts], keys: Array) -> State:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
        return jax.vmap(begin)(stacked, keys)

    mapped = jax.vmap(steps, in_axes=(0, data, data, 0, 0, None))
    return Steps(jax.jit(begin_all), fast(mapped))
