"""The whole experiment, chapter by chapter."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax import data, report, training
from experiments._shared import finish
from experiments.xo.arithmetic import worked_arithmetic
from experiments.xo.config import Config
from experiments.xo.features import learned_features
from experiments.xo.journey import journey
from experiments.xo.nudging import nudging
from experiments.xo.one_network import one_network
from experiments.xo.whole_images import Accuracy, whole_images


@dataclass(frozen=True)
class Result:
    """Every reported figure.

    Args:
        folder: The folder of the run.
        arrays: The arrays of the worked arithmetic, by name.
        accuracy: Method → deformation → accuracy of shape (strengths, seeds).
        lead: Accuracy of the network minus that of the nearest neighbour at full
            strength: mean and 95 % interval.
        records: Training records of the single network.
        cosine: Cosine between the slopes from nudging and the gradient.
        errors: Method of finding weights → seconds and errors after each step.
    """

    folder: Path
    arrays: dict[str, np.ndarray]
    accuracy: Accuracy
    lead: tuple[float, float, float]
    records: list[training.Record]
    cosine: float
    errors: dict[str, tuple[np.ndarray, np.ndarray]]


def run(config: Config) -> Result:
    """Runs the experiment from the arithmetic to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "xo", config.name, config)
    page = report.Page("X or O? From the pixels to the vote")
    arrays = worked_arithmetic(page)
    xo = load(config)
    accuracy, lead = whole_images(page, config, xo)
    net, records = one_network(page, config, xo, folder)
    learned_features(page, net)
    journey(page, net, xo.test)
    cosine, errors = nudging(page, config)
    finish(page, folder, began)
    return Result(folder.folder, arrays, accuracy, lead, records, cosine, errors)


def load(config: Config) -> data.Dataset:
    """The data set, its training split cut to `config.examples` images."""
    xo = data.load(config.training, data_dir=config.data_dir)
    train = {name: array[: config.examples] for name, array in xo.train.items()}
    return data.Dataset(train=train, test=xo.test, classes=xo.classes)
