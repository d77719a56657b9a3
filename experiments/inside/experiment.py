"""The whole experiment, chapter by chapter."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax import report, training
from experiments._shared import finish
from experiments.inside import networks
from experiments.inside.checks import sanity_checks
from experiments.inside.config import Config
from experiments.inside.depth import Depth, depth, show_network
from experiments.inside.examples import show_examples
from experiments.inside.truth import Faithful, faithfulness


@dataclass(frozen=True)
class Result:
    """Every reported figure.

    Args:
        folder: The folder of the run.
        depth: Separability, edges and units of the digits networks.
        sanity: Method → rank correlations, (seeds, stages).
        faithful: Kind of data → method → its measures.
    """

    folder: Path
    depth: Depth
    sanity: dict[str, np.ndarray]
    faithful: dict[str, dict[str, Faithful]]


def run(config: Config) -> Result:
    """Runs the experiment from the training to the report."""
    began = time.time()
    folder = training.Run.create(config.runs, "inside", config.name, config)
    page = report.Page("Inside of networks")
    letters = networks.letters(config)
    show_network(page, letters.nets[0], letters.inputs[0])
    nets, splits, errors = networks.digits(config)
    page.text(f"Error rate of the digits networks: {100 * errors.mean():.2f} %.")
    measured = depth(page, nets, splits, config.steps, config.seed)
    sanity = sanity_checks(page, nets, splits, config.seed)
    faithful = {}
    for name, where, known in (
        ("X or O", "on the stroke", letters),
        ("a synthetic table", "in the informative columns", networks.table(config)),
        ("words in noise", "in the frames with speech", networks.words(config)),
    ):
        title = f"Do maps mark what is known? {name}"
        faithful[name] = faithfulness(page, title, where, known, config.seed)
        show_examples(page, known)
    folder.log({"depth": measured._asdict(), "sanity": sanity})
    folder.log(
        {n: {m: f._asdict() for m, f in one.items()} for n, one in faithful.items()}
    )
    finish(page, folder, began)
    return Result(folder.folder, measured, sanity, faithful)
