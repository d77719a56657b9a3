"""The options of a training, in one frozen record."""

import dataclasses
import json
import sys
from typing import Any, Literal, get_args

from cnn_jax.data.augment import AugmentName
from cnn_jax.data.splits import check_seed
from cnn_jax.tasks.losses import LossName
from cnn_jax.training.optim import OptimizerName, ScheduleName
from cnn_jax.training.run_files import tuples, tuples_in

Precision = Literal["float32", "bfloat16"]
FeedName = Literal["auto", "device", "stream"]

MAX_STEPS = 2**31 - 1  # Steps are counted in 32 bits.

# Options that do not change the weights, so a resumed run may have others.
FREE = {
    "feed",
    "workers",
    "devices",
    "fsdp",
    "keep",
    "keep_state",
    "save_every",
    "profile",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of a training.

    Args:
        epochs: The largest number of passes over the training split.
        batch_size: Examples per step.
        optimizer: One of `optim.OPTIMIZERS`, or `adamw`.
        schedule: One of `optim.SCHEDULES`, over all epochs.
        learning_rate: The constant rate, or the peak of the schedule.
        warmup: The fraction of all steps in which `warmup_cosine` rises.
        drops: The fractions of all steps after which `step` falls to a tenth.
        weight_decay: The decay coefficient; by default 0.0001 for `adamw` and 0 for the
            others.
        loss: One of `tasks.losses.LOSSES`; by default cross entropy for labels that are
            whole numbers, sigmoid for booleans and squared for floats.
        label_smoothing: The fraction of a label that is spread over all classes.
        class_weights: The weight of an example of each class, or `"balanced"` for
            weights inversely proportional to the class counts of the training split.
        augment: Names of `data.AUGMENTS`, applied in order.
        mixup: α of the Beta distribution of the mixing ratio; 0 turns mixup off.
        cutmix: α of the Beta distribution of the area that is kept; 0 turns cutmix off.
            With `mixup` as well, each batch uses one of the two at random.
        precision: The dtype of the computation. Weights, gradients and batch statistics
            are float32 either way.
        accumulate: The number of parts that a batch is processed in, to save memory.
        clip: The largest norm of a gradient; longer ones are scaled down to it.
        ema: The decay of a debiased exponential moving average of the weights;
            evaluation and the saved model use it. None turns it off.
        frozen: The last stage of a prefix that is not trained. Its outputs are computed
            once and cached, unless inputs change at random or they do not fit into
            memory.
        rate_below: The factor of the learning rate in all trained stages but the last.
        head_weights: Each auxiliary head that is trained, and the weight of its loss.
        desired_error: The error rate of an epoch at which training stops early.
        patience: The number of records without a lower validation error rate, or an
            equal one and a lower loss, after which training stops; without a validation
            split, the training loss decides. It implies `keep_best`. Networks that
            train together stop together, by their means.
        keep_best: Whether the network ends with the weights of the best record in this
            sense instead of the last ones.
        record_every: Steps between records, at most to the end of the epoch; by default
            an epoch.
        feed: Whether examples are stored on the device or streamed; by default their
            size decides.
        workers: Processes that read and decode streamed examples; 0 for threads.
        devices: The number of devices that share each batch; by default all
            accelerators that divide it, or one CPU.
        fsdp: The number of devices over which weights and the state of the optimizer
            are split, to save memory; it divides `devices`.
        keep: The number of last checkpoints that are kept during the training, besides
            the best.
        keep_state: Whether the last checkpoint stays after the end, so that the run can
            go on for more epochs. Otherwise the best weights alone stay.
        save_every: Seconds between checkpoints, which are written at records.
        profile: Whether to trace the second record for XProf.
        seed: For shuffling and augmentation; networks have RNGs of their own.

    Raises:
        ValueError: If an option is out of its range, or of another type.
        TypeError: If the seed is no whole number.

    Example:
        >>> config = Config(epochs=3, class_weights=(1.0, 2.0))
        >>> Config.from_json(config.to_json()) == config
        True
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: OptimizerName = "adam"
    schedule: ScheduleName = "constant"
    learning_rate: float = 1e-3
    warmup: float = 0.05
    drops: tuple[float, ...] = (1 / 3, 2 / 3)
    weight_decay: float | None = None
    loss: LossName | None = None
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    augment: tuple[AugmentName, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    precision: Precision = "float32"
    accumulate: int = 1
    clip: float | None = None
    ema: float | None = None
    frozen: str | None = None
    rate_below: float = 1.0
    head_weights: tuple[tuple[str, float], ...] = ()
    desired_error: float | None = None
    patience: int | None = None
    keep_best: bool = False
    record_every: int | None = None
    feed: FeedName = "auto"
    workers: int = 0
    devices: int | None = None
    fsdp: int = 1
    keep: int = 3
    keep_state: bool = False
    save_every: float = 60.0
    profile: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("drops", "class_weights", "augment", "head_weights"):
            object.__setattr__(self, name, tuples(getattr(self, name)))
        for name, (minimum, maximum) in _RANGES.items():
            _check_range(name, getattr(self, name), minimum, maximum)
        for name, kind in _NAMES.items():
            _check_name(name, getattr(self, name), kind)
        _check_kinds(self)
        for name in self.augment:
            _check_name("augment", name, AugmentName)
        for name in "learning_rate", "clip":
            if getattr(self, name) == 0:
                raise ValueError(f"`{name}` is 0, but must be above 0.")
        check_seed(self.seed)
        for share in self.drops:
            _check_range("drops", share, 0.0, 1.0)
        for weight in _numbers(self.class_weights):
            _check_range("class_weights", weight, 0.0, None)
        if self.class_weights is not None and not any(self.class_weights):
            raise ValueError(
                f"`class_weights` is {self.class_weights}, but needs a weight above 0."
            )
        for _, weight in self.head_weights:
            _check_range("head_weights", weight, 0.0, None)
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"`batch_size` is {self.batch_size}, but must be a multiple of "
                f"`accumulate`, {self.accumulate}."
            )

    def to_json(self) -> str:
        """Every field, as text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """The configuration that `to_json` wrote.

        Args:
            text: A JSON object with some or all of the fields.

        Returns:
            A configuration; missing fields have their default.

        Raises:
            ValueError: If there is an unknown field.
        """
        return cls(**read_fields(cls, json.loads(text)))

    def differences(self, other: "Config") -> list[str]:
        """The fields that lead to other weights than those of `other`."""
        same = FREE | ({"epochs"} if self.schedule == "constant" else set())
        return [
            f"{field.name}: {getattr(self, field.name)} here, "
            f"{getattr(other, field.name)} there"
            for field in dataclasses.fields(self)
            if field.name not in same
            and getattr(self, field.name) != getattr(other, field.name)
        ]


def read_fields(kind: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields from JSON, with lists converted to tuples."""
    unknown = fields.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    return tuples_in(fields)


_RANGES: dict[str, tuple[int | float, float | None]] = {
    "epochs": (1, None),
    "batch_size": (1, None),
    "learning_rate": (0.0, None),
    "warmup": (0.0, 1.0),
    "weight_decay": (0.0, None),
    "label_smoothing": (0.0, 1.0),
    "mixup": (0.0, None),
    "cutmix": (0.0, None),
    "accumulate": (1, None),
    "rate_below": (0.0, None),
    "clip": (0.0, None),
    "ema": (0.0, 1.0),
    "desired_error": (0.0, 1.0),
    "patience": (1, None),
    "record_every": (1, None),
    "workers": (0, None),
    "devices": (1, None),
    "fsdp": (1, None),
    "keep": (1, None),
    "save_every": (0.0, None),
}
_NAMES: dict[str, Any] = {
    "optimizer": OptimizerName,
    "schedule": ScheduleName,
    "loss": LossName,
    "precision": Precision,
    "feed": FeedName,
}


def _numbers(weights: Any) -> tuple[float, ...]:
    """Class weights that are numbers; none for `"balanced"` and None."""
    if not isinstance(weights, tuple | None) and weights != "balanced":
        raise ValueError(
            f"`class_weights` is {weights!r}, but must be numbers, 'balanced' or None."
        )
    return () if weights is None or isinstance(weights, str) else weights


def _check_kinds(config: Config) -> None:
    """Refuses options of another type, where no range is checked."""
    for name in "drops", "augment", "head_weights":
        if not isinstance(getattr(config, name), tuple):
            raise ValueError(
                f"`{name}` is {getattr(config, name)!r}, but must be a tuple."
            )
    for pair in config.head_weights:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(
                f"`head_weights` has {pair!r}, but needs pairs of a name and a weight."
            )
    for name in "keep_best", "profile":
        if not isinstance(getattr(config, name), bool):
            raise ValueError(
                f"`{name}` is {getattr(config, name)!r}, but must be True or False."
            )
    if config.frozen is not None and not isinstance(config.frozen, str):
        raise ValueError(
            f"`frozen` is {config.frozen!r}, but must be the name of a stage."
        )


def _check_range(
    name: str, value: Any, minimum: int | float, maximum: float | None
) -> None:
    """Checks bounds, and that the value is whole where `minimum` is; None is off."""
    if value is None:
        return
    whole = isinstance(minimum, int)
    kinds = int if whole else int | float
    if not isinstance(value, kinds) or isinstance(value, bool):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"`{name}` is {value!r}, but must be {kind}.")
    largest = (
        maximum if maximum is not None else MAX_STEPS if whole else sys.float_info.max
    )
    if not minimum <= value <= largest:
        bound = f"at least {minimum:g} and finite"
        bound = f"from {minimum} to {largest}" if whole else bound
        bound = bound if maximum is None else f"from {minimum:g} to {maximum:g}"
        raise ValueError(f"`{name}` is {value}, but must be {bound}.")


def _check_name(name: str, value: Any, kind: Any) -> None:
    if name == "loss" and value is None:
        return
    if not isinstance(value, str) or value not in get_args(kind):
        raise ValueError(
            f"`{name}` is {value!r}, but must be one of {', '.join(get_args(kind))}."
        )
