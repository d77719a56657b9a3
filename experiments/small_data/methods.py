"""Three methods that learn from the same training split, and the time they take."""

import dataclasses
import importlib.util
import time
from typing import NamedTuple

from flax import nnx

from cnn_jax import data, models, trained, training


class Score(NamedTuple):
    """Test accuracy, seconds of training, and whether learning is shown."""

    accuracy: float
    seconds: float
    learned: bool = True


def ours(dataset: data.Dataset, seed: int, minutes: float | None) -> Score:
    """What `cnn-jax train` does without options."""
    began = time.time()
    name, _ = trained.default_model(dataset)
    harmless: list[str] = []
    if len(dataset.shape) == 3:
        kept = trained.measure_changes(dataset, seed=seed)
        harmless = [change for change, one in kept.items() if one.harmless]
    config = trained.default_config(dataset, name, harmless=harmless, seed=seed)
    options = trained.default_options(name, dataset)
    net = models.build(name, rngs=nnx.Rngs(seed), **options)
    if minutes is not None:
        epochs = trained.epochs_within(minutes, net, dataset, config)
        config = dataclasses.replace(config, epochs=epochs)
    list(training.fit(net, dataset, config))
    seconds = time.time() - began
    verdict = trained.judge_split(net, dataset.test, dataset.classes)
    return Score(verdict.accuracy, seconds, verdict.learned)


def simple(dataset: data.Dataset, seed: int) -> Score:
    """A classifier without a network; see `trained.baseline`."""
    began = time.time()
    return Score(trained.baseline(dataset, seed=seed).score, time.time() - began)


def has_torch() -> bool:
    """Whether PyTorch and torchvision are installed."""
    return all(importlib.util.find_spec(name) for name in ("torch", "torchvision"))
