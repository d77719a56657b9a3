"""The number of epochs that fit into some minutes."""

import contextlib
import dataclasses

from flax import nnx

from cnn_jax import training
from cnn_jax.data import Dataset
from cnn_jax.data.options import check_positive
from cnn_jax.nn import Chain

TRAINING = 0.8  # Of the time; the rest is for evaluation, checkpoints and the report.


def epochs_within(
    minutes: float, net: Chain, dataset: Dataset, config: training.Config
) -> int:
    """The number of epochs that take some minutes on this machine.

    A copy of the network is trained for a few steps; the first are not timed, because
    they include compilation.

    Args:
        minutes: The time for the training, its evaluation and its report.
        net: The network, which is not changed.
        dataset: The data.
        config: The options of the training.

    Returns:
        At least 1, at most `config.epochs`.

    Raises:
        TypeError: If `minutes` is no number.
        ValueError: If `minutes` is not above 0 and finite.
    """
    check_positive("minutes", minutes, whole=False)
    short = dataclasses.replace(config, epochs=4, record_every=10, keep_best=False)
    records = training.fit(nnx.clone(net), dataset, short)
    with contextlib.closing(records):
        next(records)
        record = next(records)
    remaining = record.steps - record.step
    each_epoch = record.seconds_left / remaining * record.steps / short.epochs
    fitting = int(TRAINING * 60 * minutes / each_epoch)
    return max(1, min(config.epochs, fitting))
