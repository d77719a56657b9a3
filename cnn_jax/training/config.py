"""How to train: every choice that has a name, in one frozen record."""

import dataclasses
import json
from typing import Any, Literal, get_args

from cnn_jax.data.augment import AugmentName
from cnn_jax.training.losses import LossName
from cnn_jax.training.optim import OptimizerName, ScheduleName

Precision = Literal["float32", "bfloat16"]
FeedName = Literal["auto", "device", "stream"]

# What may differ when a run is resumed, for the weights come out the same.
FREE = {"feed", "workers", "keep", "save_every", "profile"}


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train.

    Args:
        epochs: How often every example is seen, at most.
        batch_size: Examples per step.
        optimizer: Which of `optim.OPTIMIZERS`.
        schedule: Which of `optim.SCHEDULES`, over all epochs.
        learning_rate: The constant rate, or the peak of the schedule.
        warmup: The share of all steps in which `warmup_cosine` rises.
        drops: The shares of all steps after which `step` falls to a tenth.
        weight_decay: How strongly weights are drawn to 0; by default 0.0001 for `adamw`
            and not at all for the others.
        loss: Which of `losses.LOSSES`.
        label_smoothing: The share of a label that goes to all classes alike.
        class_weights: How much an example of each class counts; alike by default.
        augment: Which of `data.AUGMENTS`, in turn.
        mixup: α of the Beta distribution by which pictures are mixed; 0 for not.
        precision: What the network computes in; its weights, their gradients and its
            statistics are float32 in either case.
        accumulate: Into how many parts a batch is cut that must not be in memory at
            once.
        clip: The largest norm of a whole gradient; what is longer is shortened to it.
        ema: The decay of a debiased exponential moving average of the weights;
            evaluation and the saved model use it. None for the weights themselves.
        frozen: The last stage of a prefix that does not learn.
        head_weights: Each auxiliary head that learns too, and how much its loss counts.
        desired_error: The share of wrong logits over an epoch at which training ends
            early.
        patience: After how many records without a better validation loss (training
            loss where there is no validation split) training ends; the best weights are
            then given back. Networks that train together stop together: their mean
            loss decides, also which weights are the best.
        record_every: Steps from one record to the next; an epoch by default, and never
            beyond the end of one.
        feed: Whether examples lie on the device or are streamed; by their size.
        workers: Processes that read and decode what is streamed; 0 for threads.
        keep: How many of the last checkpoints are kept, besides the best.
        save_every: Seconds between checkpoints, which are taken at records.
        profile: Whether to trace the second record for XProf.
        seed: Of the shuffling and augmentation; networks bring their own chance.

    Raises:
        ValueError: If an option is out of its range.

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
    loss: LossName = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    augment: tuple[AugmentName, ...] = ()
    mixup: float = 0.0
    precision: Precision = "float32"
    accumulate: int = 1
    clip: float | None = None
    ema: float | None = None
    frozen: str | None = None
    head_weights: tuple[tuple[str, float], ...] = ()
    desired_error: float | None = None
    patience: int | None = None
    record_every: int | None = None
    feed: FeedName = "auto"
    workers: int = 0
    keep: int = 3
    save_every: float = 60.0
    profile: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("drops", "class_weights", "augment", "head_weights"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))
        for name, (least, most) in _RANGES.items():
            _check_range(name, getattr(self, name), least, most)
        for name, kind in _NAMES.items():
            _check_name(name, getattr(self, name), kind)
        if isinstance(self.augment, str):
            raise ValueError(
                f"`augment` is {self.augment!r}, but must be a tuple of names."
            )
        for name in self.augment:
            _check_name("augment", name, AugmentName)
        for name in "learning_rate", "clip":
            if getattr(self, name) == 0:
                raise ValueError(f"`{name}` is 0, but must be positive.")
        for share in self.drops:
            _check_range("drops", share, 0.0, 1.0)
        for weight in self.class_weights or ():
            _check_range("class_weights", weight, 0.0, None)
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
            A configuration; what is not there is as by default.

        Raises:
            ValueError: If there is a field that no configuration has.
        """
        return cls(**read_fields(cls, json.loads(text)))

    def differences(self, other: "Config") -> list[str]:
        """The fields by which a run of another configuration ends up elsewhere."""
        same = FREE | ({"epochs"} if self.schedule == "constant" else set())
        return [
            f"{field.name}: {getattr(self, field.name)} here, "
            f"{getattr(other, field.name)} there"
            for field in dataclasses.fields(self)
            if field.name not in same
            and getattr(self, field.name) != getattr(other, field.name)
        ]


def read_fields(kind: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as JSON gave them, with its lists made tuples again."""
    unknown = fields.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    return {name: _tuples(value) for name, value in fields.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


_RANGES: dict[str, tuple[int | float, float | None]] = {
    "epochs": (1, None),
    "batch_size": (1, None),
    "learning_rate": (0.0, None),
    "warmup": (0.0, 1.0),
    "weight_decay": (0.0, None),
    "label_smoothing": (0.0, 1.0),
    "mixup": (0.0, None),
    "accumulate": (1, None),
    "clip": (0.0, None),
    "ema": (0.0, 1.0),
    "desired_error": (0.0, 1.0),
    "patience": (1, None),
    "record_every": (1, None),
    "workers": (0, None),
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


def _check_range(name: str, value: Any, least: int | float, most: float | None) -> None:
    """Whole where the least is, and within both ends; None stands for off."""
    if value is None:
        return
    whole = isinstance(least, int)
    if not isinstance(value, int | (int if whole else float)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"`{name}` is {value!r}, but must be {kind}.")
    if not (least <= value < float("inf") and (most is None or value <= most)):
        end = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
        raise ValueError(f"`{name}` is {value}, but must be {end}.")


def _check_name(name: str, value: Any, kind: Any) -> None:
    if value not in get_args(kind):
        raise ValueError(
            f"`{name}` is {value!r}, but must be one of {', '.join(get_args(kind))}."
        )
