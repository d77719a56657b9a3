"""The state of a training between two steps."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Dataset, augmentation
from cnn_jax.data.augment import Augment
from cnn_jax.data.dataset import floats, length
from cnn_jax.nn import Chain
from cnn_jax.tasks import Task
from cnn_jax.tasks.metrics import Loss, divide
from cnn_jax.training.arrays import Shapes, on_device, shapes_of
from cnn_jax.training.checks import (
    check_data,
    check_heads,
    check_images,
    check_nets,
    check_steps,
    example_of,
    two_rows,
)
from cnn_jax.training.config import Config
from cnn_jax.training.feed import Feed, feeds, fits
from cnn_jax.training.fingerprint import digest, function_names, step_hash
from cnn_jax.training.finite import NotFiniteError, first_nonfinite
from cnn_jax.training.frozen import cached_cut, features, stages_after
from cnn_jax.training.interrupts import Interrupts
from cnn_jax.training.memory import check_step
from cnn_jax.training.mesh import in_turn, local, make_mesh, replicate
from cnn_jax.training.optim import optimizer as named_optimizer
from cnn_jax.training.optim import schedule, slower_below
from cnn_jax.training.order import shuffled
from cnn_jax.training.parts import below, split
from cnn_jax.training.processes import agree, check_same, several
from cnn_jax.training.step import (
    Layout,
    Parts,
    State,
    cleared,
    compiled,
    copied,
    forward,
    weights,
)
from cnn_jax.training.task import spec_of, task_of

STEPS_PER_DISPATCH = 16
SECONDS_PER_DISPATCH = 1.0  # The longest wait for an interruption.


class Trainer:
    """Networks, their data and the state of their training.

    Arguments are those of `fit`, and are checked before anything is compiled.
    """

    def __init__(
        self,
        net: Chain | Sequence[Chain],
        data: Dataset | Sequence[Dataset],
        config: Config,
        *,
        task: Task | None = None,
        loss: Loss | None = None,
        optimizer: optax.GradientTransformation | None = None,
        augment: Augment | None = None,
    ):
        self.single = isinstance(net, Chain)
        self.nets = check_nets(net)
        self.data, self.config = data, config
        self.datasets = check_data(data, len(self.nets), config)
        self.examples = length(self.datasets[0].train)
        self.batches = -(-self.examples // config.batch_size)
        self.steps, self.step = check_steps(config, self.batches), 0
        self.given = {"loss": loss, "optimizer": optimizer, "augment": augment}
        if task is not None:
            self.given["task"] = task
        self.rate = None
        if optimizer is None:
            self.rate, optimizer = _optimizer(config, self.steps)
        last = self.nets[0].names[-1]
        optimizer = slower_below(optimizer, last, config.rate_below)
        if (augment is None and config.augment) or config.cutmix:
            check_images(config, self.datasets[0].shape)
        if augment is None and config.augment:
            augment = augmentation(*config.augment)
        task = task_of(config, self.datasets, task, loss)
        trained, graph, self.parts = split(
            self.nets, below(self.nets[0], config.frozen)
        )
        self.spec = spec_of(config, graph, trained, task, optimizer, augment)
        self._check_outputs()
        self.best: list[Any] = []
        self._lay_out(augment)
        if several():
            self._check_same()

    def _lay_out(self, augment: Augment | None) -> None:
        """Decides where networks and examples lie, and compiles nothing yet."""
        config, stored = self.config, fits(self.datasets, self.config)
        self.together = len(self.nets) > 1 and side_by_side() and stored
        self.cut = None
        if not self.together and not several():
            self.cut = cached_cut(self.nets[0], self.datasets, config, augment)
        self.stored = stored or self.cut is not None
        self.spec = self.spec._replace(after=self.cut)
        rows = config.batch_size // config.accumulate
        self.mesh = make_mesh(config.devices, fsdp=config.fsdp, rows=rows)
        layout = Layout(
            together=len(self.nets) if self.together else 1,
            own_data=not isinstance(self.data, Dataset),
            streamed=not self.stored,
            mesh=self.mesh,
        )
        self.run = compiled(self.spec, layout)

    def _check_same(self) -> None:
        """Refuses processes that would compute different things."""
        check_same("the configuration", dataclasses.asdict(self.config))
        check_same("the data", {i: digest(one) for i, one in enumerate(self.datasets)})
        check_same("the code", self.functions())

    def _check_outputs(self) -> None:
        """Runs the network on shapes only, and checks outputs against labels."""
        inputs, labels = example_of(self.datasets[0])
        x, y = jax.tree.map(two_rows, (inputs, labels))
        check_heads(self.nets[0].heads, self.config.head_weights)
        run = partial(forward, self.spec)
        traced = jax.make_jaxpr(run, return_shape=True)
        jaxpr, ((outputs, *_), _) = traced(*self.parts[0], floats(x))
        check_step(jaxpr.jaxpr, self.parts, self.config, rows=2)
        if isinstance(outputs, jax.ShapeDtypeStruct):
            classes = len(self.datasets[0].classes)
            self.spec.task.check(outputs.shape[1:], labels, classes)
        names = jax.eval_shape(self.spec.task.metrics, outputs, y)
        self.spec = self.spec._replace(metrics=tuple(names))

    def start(self) -> None:
        """Brings examples and weights to the device."""
        self.feeds = self._feeds()
        self.states = self._begin(*replicate(self.mesh, (self.parts, self._keys())))
        self.best = self.weights() if self._keeps_best() else []
        self.max_steps = min(feed.max_steps for feed in self.feeds)
        # On the device once and for all, so that no step has to send any.
        counts = [np.int32(count) for count in range(self.max_steps + 1)]
        self._counts = replicate(self.mesh, counts)
        self._pace, self._began, self._done = 1, False, 0.0

    def _feeds(self) -> Sequence[Feed]:
        """The examples, or the outputs of the frozen prefix for them."""
        return feeds(
            self.data if self.cut is None else self._cached(self.cut),
            self.config,
            nets=len(self.nets),
            max_steps=STEPS_PER_DISPATCH,
            stored=self.stored,
            together=self.together,
            mesh=self.mesh,
        )

    def _cached(self, cut: str) -> list[Dataset]:
        """The outputs of the frozen prefix of each network, in place of its inputs."""
        size = self.config.batch_size // self.config.accumulate
        self._validation, cached = [], []
        for net, one in self.pairs():
            run = partial(features, net, cut=cut, batch_size=size)
            train = run(one.train, half=self.spec.half)
            split = None if one.validation is None else run(one.validation)
            self._validation.append((stages_after(net, cut), split))
            cached.append(dataclasses.replace(one, train=train, validation=None))
        return cached

    def pairs(self) -> list[tuple[Chain, Dataset]]:
        """Each network with its data."""
        sets = self.datasets * (len(self.nets) // len(self.datasets))
        return list(zip(self.nets, sets, strict=True))

    def validation(self) -> list[tuple[Chain, Any]]:
        """Each network, or what follows its prefix, with its validation split."""
        if self.cut is not None:
            return self._validation
        return [(net, one.validation) for net, one in self.pairs()]

    def _keeps_best(self) -> bool:
        return self.config.keep_best or self.config.patience is not None

    def _begin(self, parts: Sequence[Parts], keys: Array) -> list[State]:
        """The states before the first step, one for each network or one for all."""
        if self.together:
            return [self.run.start(parts, keys)]
        return [self.run.start([part], keys[i : i + 1]) for i, part in enumerate(parts)]

    def _keys(self) -> Array:
        key, count = jax.random.key(self.config.seed), len(self.nets)
        return key[None] if self.single else jax.random.split(key, count)

    def advance(self, upto: int, interrupts: Interrupts) -> None:
        """Takes the steps up to `upto`, some of them at a time.

        Args:
            upto: Of the same epoch.
            interrupts: Looked at between two dispatches; it may save and leave.

        Raises:
            NotFiniteError: If a step gave no numbers.
        """
        sent: tuple[list[Array], int, float] | None = None
        while self.step < upto:
            interrupts.share()
            if interrupts.asked:
                if sent is not None:  # Only what is known to be finite is saved.
                    self._wait(*sent)
                interrupts.check()
            if not self._began or self.step % self.batches == 0:
                self._begin_epoch()
            began = time.perf_counter()
            count = min(agree(self._pace), upto - self.step)
            halted = self._send(count)
            if sent is not None:
                self._wait(*sent)  # While the device is at work on the next.
            sent = halted, count, began
        if sent is not None:
            self._wait(*sent)

    def _send(self, count: int) -> list[Array]:
        """Dispatches so many steps of every network."""
        halted = []
        for i, feed in enumerate(self.feeds):
            self.states[i], flag = self.run.train_steps(
                self.states[i], *feed.take(count), self._counts[count]
            )
            halted.append(in_turn(self.mesh, flag))
        self.step += count
        return halted

    def _wait(self, halted: list[Array], count: int, began: float) -> None:
        """Waits for a dispatch, and sets the pace by what a step took."""
        for i, flags in enumerate(jax.device_get(halted)):
            if np.any(flags):
                self._explain(i, int(np.argmax(np.atleast_1d(flags))))
        now = time.perf_counter()
        if self._done:  # The first one was compiled as well.
            seconds = (now - max(began, self._done)) / count
            pace = SECONDS_PER_DISPATCH / max(seconds, 1e-6)
            self._pace = int(np.clip(pace, 1, self.max_steps))
        self._done = now

    def _begin_epoch(self) -> None:
        for state, feed in zip(self.states, self.feeds, strict=True):
            feed.start(*self.order(state), self.step % self.batches)
        self._began = True

    def _shuffled(self, key: Array, step: Array) -> tuple[Array, Array]:
        size = self.config.batch_size
        return shuffled(key, step, examples=self.examples, batch_size=size)

    def order(self, state: State) -> tuple[Array, Array]:
        """The order of the epoch that a state is in, and the step it began with."""
        shuffle = jax.vmap(self._shuffled) if self.together else self._shuffled
        return shuffle(state.key, state.step)

    def means(self) -> dict[str, Any]:
        """Counts, then divides, and begins to count anew."""
        found = jax.device_get([state.total for state in self.states])
        self.states = [s._replace(total=cleared(s.total)) for s in self.states]
        total = {
            name: np.concatenate([np.atleast_1d(one[name]) for one in found])
            for name in found[0]
        }
        every = divide({name: x.astype(np.float64) for name, x in total.items()})
        if self.single:
            return {name: float(x[0]) for name, x in every.items()}
        return every

    def weights(self) -> list[Any]:
        """Copies of the weights of each network, for the next step takes these."""
        rows = range(len(self.nets)) if self.together else [None]
        return [copied(weights(s), row) for s in self.states for row in rows]

    def give_back(self, weights: Sequence[Any] | None = None) -> None:
        """Writes weights into the networks: the last that were whole, or these."""
        if weights is None:
            if any(leaf.is_deleted() for leaf in jax.tree.leaves(self.states)):
                return  # Interrupted inside a step: the last record's weights stay.
            weights = self.weights()
        for net, one in zip(self.nets, local(self.mesh, weights), strict=True):
            nnx.update(net, *one)

    def tree(self) -> dict[str, Any]:
        """All arrays that a resumed run needs, as they are named in a checkpoint.

        Of several processes each gets all of them, and all must call it.
        """
        tree = self._named(self.states, self.best)
        return local(self.mesh, tree) if several() else tree

    def _named(self, states: list[State], best: list[Any]) -> dict[str, Any]:
        if self.single:
            return dict(states[0]._asdict()) | ({"best": best[0]} if best else {})
        return {"networks": states} | ({"best": best} if best else {})

    def shapes(self) -> Shapes:
        """Names and shapes of `tree`, before any array is on the device."""

        def tree() -> dict[str, Any]:
            states = self._begin(self.parts, self._keys())
            initial = [(params, rest) for params, _, rest in self.parts]
            return self._named(states, initial if self._keeps_best() else [])

        return shapes_of(jax.eval_shape(tree))

    def functions(self) -> dict[str, str]:
        """What identifies the run beside its configuration.

        Returns:
            The qualified names of `loss`, `optimizer` and `augment`, the version of
            JAX, and a hash of all operations and constants of one training step.
        """
        example = example_of(self.datasets[0])
        # Cached or not, which depends on the memory, the training is the same.
        spec = self.spec._replace(after=None)
        step = step_hash(spec, self.parts[0], example)
        return function_names(self.given) | {"step": step}

    def load(self, leaves: Sequence[np.ndarray], step: int) -> None:
        """Continues from the leaves of `tree`."""
        old, treedef = jax.tree.flatten(self._named(self.states, self.best))
        tree = jax.tree.unflatten(treedef, map(on_device, old, leaves))
        if self.single:
            self.best = [tree.pop("best")] if self.best else []
            self.states = [State(**tree)]
        else:
            self.states, self.best = tree["networks"], tree.get("best", [])
        self.step = step
        rows = range(len(self.nets)) if self.together else [None]
        frozen = [copied(s.frozen, row) for s in self.states for row in rows]
        for net, one in zip(self.nets, local(self.mesh, frozen), strict=True):
            nnx.update(net, one)
        self.give_back()
        if self.cut is not None:
            self.feeds = self._feeds()  # By the prefix that was loaded.

    def _explain(self, i: int, row: int) -> None:
        """Raises an error that says what was first not finite."""
        state = copied(self.states[i], row if self.together else None)
        state = local(self.mesh, state)
        order, begin = self._shuffled(state.key, state.step)
        step, size = int(state.step), self.config.batch_size
        first = (step - int(begin)) * size
        at = np.asarray(order)[first : first + size]
        mask = jnp.asarray(at >= 0, jnp.float32)
        batch = *self.feeds[i].read(np.maximum(at, ~at)), mask
        rate = "that of your optimizer"
        if self.rate is not None:
            rate = f"{float(np.asarray(self.rate(step))):.3g}"
        which = "" if self.single else f" of network {max(i, row)}"
        raise NotFiniteError(
            f"step {step + 1}{which} (epoch {step // self.batches + 1}, learning rate "
            f"{rate}) would make the loss or the weights NaN or infinite: "
            f"{first_nonfinite(self.spec, state, batch)}. The weights are those before "
            "it. Try a smaller `learning_rate` or `clip=1.0`, and check the data."
        )


def side_by_side() -> bool:
    """Whether networks are stacked: a CPU gains nothing by doing many at once."""
    return jax.default_backend() != "cpu"


def _optimizer(
    config: Config, steps: int
) -> tuple[optax.Schedule, optax.GradientTransformation]:
    """The schedule and the optimizer that a configuration names."""
    rate = schedule(
        config.schedule,
        config.learning_rate,
        steps,
        warmup=config.warmup,
        drops=config.drops,
    )
    options = {"weight_decay": config.weight_decay, "clip": config.clip}
    return rate, named_optimizer(config.optimizer, rate, **options)
