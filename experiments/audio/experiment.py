"""The whole experiment, from the recordings to the report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax import nn, report, training
from experiments._shared import finish, progress
from experiments.audio import figures, models, tables
from experiments.audio.config import Config
from experiments.audio.models import CNN_WITH_MASKS, IN_ORDER, SHUFFLED, ModelSpec
from experiments.audio.recordings import Recordings, conditions, load

Logits = dict[str, list[np.ndarray]]  # Condition → logits of every seed.


@dataclass(frozen=True)
class Result:
    """Every reported figure; intervals are (mean, low, high).

    Args:
        folder: The folder of the run.
        accuracy: Network → condition → accuracy of every seed.
        leads: Condition → accuracy of the CNN minus that of the MLP.
        costs: Network → accuracy lost by reordering bands or chunks.
    """

    folder: Path
    accuracy: dict[ModelSpec, tables.Accuracy]
    leads: dict[str, tables.Interval]
    costs: dict[ModelSpec, tables.Interval]


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    splits, classes, notes = load(config)
    front_ends = models.front_ends(config, splits["train"].rate)
    for chain in front_ends.values():  # Raises before a folder is made.
        nn.summary(chain, splits["train"].waveforms.shape[1:])
    folder = training.Run.create(config.runs, "audio", config.name, config)
    page = report.Page(f"Audio as images: {config.data}")
    page.section("The recordings")
    page.text(". ".join([*notes, ""]).strip())
    recordings = conditions(splits, np.random.default_rng(config.seed))
    figures.from_waveform_to_image(page, front_ends["log-mel"], recordings["train"])
    figures.listen(page, splits, recordings, classes)

    nets, logits = _train_all(page, config, front_ends, recordings, classes)
    accuracy = {spec: models.accuracy(logits[spec], recordings) for spec in logits}
    folder.log({"accuracy": {str(spec): a for spec, a in accuracy.items()}})
    leads = tables.compare(page, accuracy)
    costs = tables.reordering(page, accuracy)
    whole = [models.join(front_ends["log-mel"], net) for net in nets[CNN_WITH_MASKS]]
    figures.gradients(page, whole, recordings["clean"], classes)
    figures.confusions(page, logits[CNN_WITH_MASKS], recordings, classes)
    finish(page, folder, began)
    return Result(folder.folder, accuracy, leads, costs)


def _train_all(
    page: report.Page,
    config: Config,
    front_ends: dict[str, nn.Chain],
    recordings: dict[str, Recordings],
    classes: Sequence[str],
) -> tuple[dict[ModelSpec, list[nn.Chain]], dict[ModelSpec, Logits]]:
    """Trains every kind of network; returns the networks and their test logits."""
    features = {
        name: models.as_features(chain, recordings)
        for name, chain in front_ends.items()
    }
    nets, logits = {}, {}
    for spec in progress([*IN_ORDER, *SHUFFLED], "training", page.console):
        splits = features[spec.features]
        nets[spec], logits[spec] = models.train(config, spec, splits, classes)
    return nets, logits
