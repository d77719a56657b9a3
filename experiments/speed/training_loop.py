"""`training.fit`: the share of an epoch outside compiled steps, and five networks."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import data, report, training
from cnn_jax.training.trainer import Trainer
from experiments.speed.config import Config
from experiments.speed.libraries.networks import NETS, batch_of
from experiments.speed.libraries.ours import build
from experiments.speed.timing import Times, seconds_per_call

EPOCHS = 10
EXAMPLES = 1347  # As many as three quarters of the digits.
OPTIONS = training.Config(EPOCHS + 1, batch_size=64, augment=("affine",))


def training_loop(config: Config, page: report.Page) -> dict[str, Times]:
    """Times an epoch of `fit`, its compiled steps alone, and five networks at once."""
    page.section("The training loop")
    net = NETS["LeNet-5"]
    x, labels = batch_of(net._replace(batch=EXAMPLES))
    split = {"image": x, "label": labels}
    examples = data.Dataset(split, split, tuple("0123456789"))
    nets = [build(net.layers, net.shape, nnx.Rngs(seed)) for seed in range(5)]
    steps = _epoch_of_steps(nets[0], examples)
    times: Times = {"one": [], "steps alone": [], "five at once": []}
    for _ in range(config.rounds):
        times["one"].append(_seconds_per_epoch(nets[0], examples))
        times["steps alone"].append(seconds_per_call(steps, EPOCHS))
        times["five at once"].append(_seconds_per_epoch(nets, examples))
    _show(page, times)
    return {"LeNet-5": times}


def _seconds_per_epoch(nets: Any, examples: data.Dataset) -> float:
    records = training.fit(nets, examples, OPTIONS)
    next(records)  # The first epoch compiles.
    began = time.perf_counter()
    for _ in records:
        pass
    return (time.perf_counter() - began) / EPOCHS


def _epoch_of_steps(net: Any, examples: data.Dataset) -> Callable[[], None]:
    """The compiled steps of one epoch, without the loop around them."""
    trainer = Trainer(net, examples, OPTIONS, loss=None, optimizer=None, augment=None)
    trainer.start()
    (feed,), (state,) = trainer.feeds, trainer.states
    feed.start(*trainer.order(state), 0)
    chunk, count = feed.take(trainer.batches), jnp.int32(trainer.batches)

    def epoch() -> None:
        nonlocal state
        first = chunk._replace(begin=jnp.copy(state.step))
        state, halted = trainer.run.train_steps(state, *first, count)
        jax.block_until_ready(halted)

    return epoch


def _show(page: report.Page, times: Times) -> None:
    fit, steps, five = (np.median(series) for series in times.values())
    page.text(
        f"LeNet-5 on {EXAMPLES:,} images in batches of 64 with affine augmentation: "
        f"one epoch takes {fit * 1e3:.0f} ms, of which {max(0, 1 - steps / fit):.1%} "
        "are spent outside its compiled steps. Five networks at once take "
        f"{five / (5 * fit):.2f} times as long as five networks one after another."
    )
