"""Networks on their way: what `fit` checks at its door, and then advances."""

import dataclasses
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from cnn_jax.data import Dataset, augmentation, input_name
from cnn_jax.data.augment import Augment
from cnn_jax.data.dataset import as_float, length
from cnn_jax.nn import Chain
from cnn_jax.training.checkpoint import Shapes, on_device, shapes_of
from cnn_jax.training.config import Config
from cnn_jax.training.feed import feeds, fits
from cnn_jax.training.finite import NotFiniteError, first_nonfinite
from cnn_jax.training.interrupts import Interrupts
from cnn_jax.training.losses import named_loss
from cnn_jax.training.metrics import Loss, batch_metrics, divide
from cnn_jax.training.optim import optimizer as named_optimizer
from cnn_jax.training.optim import schedule
from cnn_jax.training.step import (
    Parts,
    State,
    StepSpec,
    cleared,
    compiled,
    copied,
    forward,
    shuffled,
    start,
    train_step,
    weights,
)

CONFIGURED = "of the configuration"  # Not a function of its own.
STEPS_PER_DISPATCH = 16
SECONDS_PER_DISPATCH = 1.0  # As long as one may have to wait for when interrupting.


@dataclasses.dataclass(frozen=True)
class _Below:
    """The filter of all that is under some paths."""

    paths: tuple[tuple[str, ...], ...]

    def __call__(self, path: Sequence[Any], value: Any) -> bool:
        return any(tuple(path[: len(below)]) == below for below in self.paths)


class Trainer:
    """Networks, their data, and the steps between them.

    What is wrong with any of them is said before anything is compiled.
    """

    def __init__(
        self,
        net: Chain | Sequence[Chain],
        data: Dataset | Sequence[Dataset],
        config: Config,
        *,
        loss: Loss | None,
        optimizer: optax.GradientTransformation | None,
        augment: Augment | None,
    ):
        self.single = isinstance(net, Chain)
        self.nets: list[Chain] = [net] if isinstance(net, Chain) else list(net)
        self.data, self.config = data, config
        self.every = [data] if isinstance(data, Dataset) else list(data)
        self.examples = _check_data(data, self.every, len(self.nets), config)
        self.batches = -(-self.examples // config.batch_size)
        self.steps, self.step = config.epochs * self.batches, 0
        self.given = {"loss": loss, "optimizer": optimizer, "augment": augment}
        named = loss is None
        self.plain_loss = named_loss(config.loss) if loss is None else loss
        if loss is None:
            smoothing, weights = config.label_smoothing, config.class_weights
            loss = named_loss(config.loss, smoothing, weights)
        self.rate = None
        if optimizer is None:
            self.rate, optimizer = _optimizer(config, self.steps)
        if augment is None and config.augment:
            _check_pictures(config, self.every[0])
            augment = augmentation(*config.augment)
        frozen = _Below(_frozen(self.nets[0], config.frozen))
        learns = nnx.All(nnx.Param, nnx.Not(frozen)) if config.frozen else nnx.Param
        graph, self.parts = _split(self.nets, learns, frozen)
        self.spec = StepSpec(
            graph,
            learns,
            loss,
            optimizer,
            config.batch_size,
            augment=augment,
            mixup=config.mixup,
            half=config.precision == "bfloat16",
            accumulate=config.accumulate,
            ema=config.ema,
            heads=config.head_weights,
        )
        self._check_votes(named=named)
        self.best: list[Any] = []
        many = len(self.nets) > 1
        self.together = many and side_by_side() and fits(self.every, config)
        together = len(self.nets) if self.together else 1
        own_data = not isinstance(data, Dataset)
        self.run = compiled(self.spec, together=together, own_data=own_data)

    def _check_votes(self, *, named: bool) -> None:
        """Runs everything on shapes alone, and compares logits with labels."""
        example = _example(self.every[0])
        x, y = (jnp.asarray(np.zeros_like(a[:2])) for a in example)
        _check_heads(self.nets[0], self.config.head_weights)
        look = partial(forward, self.spec)
        (logits, *_), _ = jax.eval_shape(look, *self.parts[0], as_float(x))
        if named:
            _check_targets(self.config, logits.shape[1:], example[1], self.every[0])
        found = jax.eval_shape(partial(batch_metrics, self.spec.loss), logits, y)
        self.spec = self.spec._replace(sums=tuple(found))

    def start(self) -> None:
        """Brings examples and weights to the device."""
        self.feeds = feeds(
            self.data,
            self.config,
            nets=len(self.nets),
            most=STEPS_PER_DISPATCH,
            together=self.together,
        )
        self.states = self._begin(self.run.start)
        self.best = self.weights() if self._waits() else []
        self.most = min(feed.most for feed in self.feeds)
        # On the device once and for all, so that no step has to send any.
        self._counts = [jnp.int32(count) for count in range(self.most + 1)]
        self._pace, self._began, self._done = 1, False, 0.0

    def _waits(self) -> bool:
        return self.config.patience is not None

    def _begin(self, start: Callable[..., State]) -> list[State]:
        key, count = jax.random.key(self.config.seed), len(self.nets)
        keys = key[None] if self.single else jax.random.split(key, count)
        if self.together:
            return [start(self.parts, keys)]
        parts = zip(self.parts, keys, strict=True)
        return [start([part], key[None]) for part, key in parts]

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
            if interrupts.asked:
                if sent is not None:  # Only what is known to be finite is saved.
                    self._wait(*sent)
                interrupts.check()
            if not self._began or self.step % self.batches == 0:
                self._begin_epoch()
            count, began = min(self._pace, upto - self.step), time.perf_counter()
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
            halted.append(flag)
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
            self._pace = int(np.clip(pace, 1, self.most))
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
        for net, one in zip(self.nets, weights, strict=True):
            nnx.update(net, *one)

    def leaves(self) -> Any:
        """All arrays that a run goes on from."""
        return jax.tree.leaves({"states": self.states, "best": self.best})

    def shapes(self) -> Shapes:
        """What `leaves` are called, and their shapes, before any is on the device."""

        def tree() -> dict[str, Any]:
            states = self._begin(self.run.start)
            first = [(params, rest) for params, _, rest in self.parts]
            return {"states": states, "best": first if self._waits() else []}

        return shapes_of(jax.eval_shape(tree))

    def functions(self) -> dict[str, str]:
        """What a run is made of that its configuration cannot hold.

        Returns:
            The qualified names of `loss`, `optimizer` and `augment`, the version of
            JAX, and a hash of all operations and constants of one training step.
        """
        names = {
            name: CONFIGURED if given is None else _qualified(given)
            for name, given in self.given.items()
        }
        return names | {"jax": jax.__version__, "step": self._step_hash()}

    def _step_hash(self) -> str:
        size = self.config.batch_size
        inputs, labels = (
            jax.ShapeDtypeStruct((size, *a.shape[1:]), jnp.asarray(a[:1]).dtype)
            for a in _example(self.every[0])
        )
        key = jax.eval_shape(lambda: jax.random.key(0))
        state = jax.eval_shape(partial(start, self.spec), self.parts[0], key)
        at = jax.ShapeDtypeStruct((size,), jnp.int32)
        step = partial(train_step, self.spec)
        jaxpr = jax.make_jaxpr(step)(state, inputs, labels, at)
        # Functions are printed with their address, which differs between processes.
        digest = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", str(jaxpr)).encode())
        for constant in jaxpr.consts:
            digest.update(np.asarray(constant).tobytes())
        return digest.hexdigest()

    def load(self, leaves: Sequence[np.ndarray], step: int) -> None:
        """Goes on from what `leaves` gave."""
        now, tree = jax.tree.flatten({"states": self.states, "best": self.best})
        found = jax.tree.unflatten(tree, map(on_device, now, leaves))
        self.states, self.best = found["states"], found["best"]
        self.step = step
        self.give_back()

    def _explain(self, i: int, row: int) -> None:
        """Raises an error that says what was first not finite."""
        state = copied(self.states[i], row if self.together else None)
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


def _qualified(function: Any) -> str:
    """The module and name of a function, or of what a record of functions holds."""
    if isinstance(function, tuple):
        return ", ".join(map(_qualified, function))
    while isinstance(function, partial):
        function = function.func
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


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
    how = {"weight_decay": config.weight_decay, "clip": config.clip}
    return rate, named_optimizer(config.optimizer, rate, **how)


def _check_data(
    data: Dataset | Sequence[Dataset], every: list[Dataset], nets: int, config: Config
) -> int:
    """How many examples there are in each set, which must be alike."""
    if not isinstance(data, Dataset) and len(every) != nets:
        raise ValueError(
            f"`data` has {len(every)} data sets, but there are {nets} networks: give "
            "one for all, or one for each."
        )
    shapes = {(length(one.train), *one.shape) for one in every}
    if len(shapes) > 1:
        raise ValueError(f"`data` must be alike in shape, but has {sorted(shapes)}.")
    examples = length(every[0].train)
    if config.batch_size > examples:
        raise ValueError(
            f"`batch_size` is {config.batch_size}, but there are {examples} examples."
        )
    return examples


def _frozen(net: Chain, cut: str | None) -> tuple[tuple[str, ...], ...]:
    """Where in a network the stages up to `cut` keep their weights."""
    if cut is None:
        return ()
    paths = [path for path, _ in net.steps()[: net.index_after(cut)]]
    return tuple(
        tuple(part for name in path.split("/") for part in ("stages", name))
        for path in paths
    )


def _split(
    nets: Sequence[Chain], learns: Any, frozen: _Below
) -> tuple[Any, list[Parts]]:
    """The graph that the networks share, and the parts of each."""
    if frozen.paths:  # What does not learn behaves as when it is evaluated.
        evaluated = {"deterministic": True, "use_running_average": True}
        nets = [
            nnx.view(net, only=frozen, raise_if_not_found=False, **evaluated)
            for net in nets
        ]
    every = [nnx.split(net, learns, nnx.Param, ...) for net in nets]
    for i, (graph, *_) in enumerate(every):
        if graph != every[0][0]:
            raise ValueError(
                f"network {i} is of another architecture than network 0: networks that "
                "train together may differ in their weights alone."
            )
    if not jax.tree.leaves(every[0][1]):
        raise ValueError("there is no weight that learns.")
    return every[0][0], [(a, b, c) for _, a, b, c in every]


def _example(one: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels, all of them or the first."""
    train = one.train
    if not hasattr(train, "keys"):
        train = {name: np.asarray(value)[None] for name, value in train[0].items()}
    return train[input_name(train)], train["label"]


def _check_pictures(config: Config, one: Dataset) -> None:
    if len(one.shape) != 3:
        raise ValueError(
            f"`augment` is {config.augment}, which changes pictures (height, width, "
            f"channels), but an input is {one.shape}: leave it out, or train what "
            "follows the picture on pictures."
        )


def _check_heads(net: Any, weights: Sequence[tuple[str, float]]) -> None:
    unknown = {name for name, _ in weights} - set(net.heads)
    if unknown:
        raise ValueError(
            f"`head_weights` names {sorted(unknown)}, but the network has heads "
            f"{sorted(net.heads)}."
        )


def _check_targets(
    config: Config, logits: tuple[int, ...], labels: np.ndarray, one: Dataset
) -> None:
    """Refuses labels that the loss cannot compare with the logits."""
    weights = config.class_weights
    if weights is not None and len(weights) != logits[-1]:
        raise ValueError(
            f"`class_weights` has {len(weights)} entries, but the network has "
            f"{logits[-1]} logits."
        )
    wanted = logits[:-1] if config.loss == "cross_entropy" else logits
    whole = not np.issubdtype(labels.dtype, np.floating)
    if config.loss == "cross_entropy" and not whole:
        raise ValueError(
            f"`loss` is 'cross_entropy', which needs whole numbers as labels, but they "
            f"are {labels.dtype}: 'sigmoid' takes any share of any class, 'squared', "
            "'absolute' and 'huber' take quantities."
        )
    if labels.shape[1:] != wanted:
        raise ValueError(
            f"each label has shape {labels.shape[1:]}, but `loss` {config.loss!r} "
            f"needs {wanted} for logits of shape {logits}."
        )
    if config.loss == "cross_entropy" and len(one.classes) > logits[-1]:
        raise ValueError(
            f"there are {len(one.classes)} classes, but the network has {logits[-1]} "
            "logits: give its last stage one for each class."
        )
