"""The course of the experiment, from the sets to the report."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax import report, training
from cnn_jax.tasks.metrics import mean_interval
from experiments._shared import finish, percent
from experiments.small_data import sets
from experiments.small_data.methods import Score, has_torch, ours, simple

CHOSEN_ON = ("shape", "handwriting")


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/small_data`; the date and time by default.
        runs: Root folder of all runs.
        sets: Names of sets; all by default.
        seeds: Number of splits of each set.
        minutes: Bounds each training of ours; by default the defaults decide.
        torch: Whether PyTorch's recipe is run too, where it is installed.
        random_labels: Shuffles all labels, so that nothing can be learned, and counts
            the verdicts that say so.
    """

    name: str | None = None
    runs: Path = Path("runs")
    sets: tuple[str, ...] = sets.NAMES
    seeds: int = 5
    minutes: float | None = None
    torch: bool = True
    random_labels: bool = False


@dataclass(frozen=True)
class Result:
    """Every reported figure.

    Args:
        folder: The folder of the run.
        accuracy: Set → method → test accuracy of each seed.
        seconds: The same for the time of training.
        learned: Set → whether the verdict on ours was that it learned, for each seed.
        ratio: Our error over PyTorch's, geometric mean over the sets with its 95 %
            interval; None without PyTorch.
    """

    folder: Path
    accuracy: dict[str, dict[str, np.ndarray]]
    seconds: dict[str, dict[str, np.ndarray]]
    learned: dict[str, np.ndarray]
    ratio: tuple[float, float, float] | None


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    unknown = sorted(set(config.sets) - set(sets.NAMES))
    if unknown:
        known = ", ".join(sets.NAMES)
        raise ValueError(f"`sets` has {unknown}, but there are {known}.")
    folder = training.Run.create(config.runs, "small_data", config.name, config)
    page = report.Page("Learning from little data")
    scores = {name: _scores(config, page, name) for name in config.sets}
    accuracy, seconds = (
        {
            name: {
                method: np.array([getattr(one, field) for one in each])
                for method, each in methods.items()
            }
            for name, methods in scores.items()
        }
        for field in ("accuracy", "seconds")
    )
    learned = {
        name: np.array([one.learned for one in methods["cnn_jax"]])
        for name, methods in scores.items()
    }
    ratio = _ratio(accuracy)
    _show(page, accuracy, seconds, ratio)
    said = sum(int(each.sum()) for each in learned.values())
    total = sum(map(len, learned.values()))
    page.text(f"The verdict was that ours learned in {said} of {total} runs.")
    folder.log({"accuracy": accuracy, "seconds": seconds, "ratio": ratio})
    finish(page, folder, began)
    return Result(folder.folder, accuracy, seconds, learned, ratio)


def _scores(config: Config, page: report.Page, name: str) -> dict[str, list[Score]]:
    """Every method on every split of a set."""
    found: dict[str, list[Score]] = {}
    for seed in range(config.seeds):
        dataset = sets.split(name, seed, random_labels=config.random_labels)
        own = ours(dataset, seed, config.minutes)
        found.setdefault("cnn_jax", []).append(own)
        found.setdefault("simple", []).append(simple(dataset, seed))
        if config.torch and has_torch():
            from experiments.small_data.torch_recipe import torch_recipe

            rival = torch_recipe(dataset, seed, own.seconds)
            found.setdefault("PyTorch", []).append(rival)
        page.console.print(
            f"{name}, seed {seed}: "
            + ", ".join(
                f"{method} {100 * each[-1].accuracy:.1f} % in {each[-1].seconds:.0f} s"
                for method, each in found.items()
            )
        )
    return found


def _ratio(
    accuracy: dict[str, dict[str, np.ndarray]],
) -> tuple[float, float, float] | None:
    """Our error over PyTorch's: the geometric mean, and its interval over the sets.

    Half an error is added to both, as no error at all has no logarithm.
    """
    if len(accuracy) < 2 or any("PyTorch" not in each for each in accuracy.values()):
        return None
    logs = []
    for name, each in accuracy.items():
        half = 0.5 / (0.2 * len(sets.examples(name)[1]) * len(each["cnn_jax"]))
        errors = [1 - each[method].mean() + half for method in ("cnn_jax", "PyTorch")]
        logs.append(np.log(errors[0] / errors[1]))
    mean, low, high = np.exp(mean_interval(logs))
    return float(mean), float(low), float(high)


def _show(
    page: report.Page,
    accuracy: dict[str, dict[str, np.ndarray]],
    seconds: dict[str, dict[str, np.ndarray]],
    ratio: tuple[float, float, float] | None,
) -> None:
    """Adds a row for each set."""
    page.section("Accuracy on test examples, in %, and seconds of training")
    methods = list(next(iter(accuracy.values())))
    columns = [part for method in methods for part in (method, "s")]
    rows = []
    for name, each in accuracy.items():
        cells = [
            cell
            for method in methods
            for cell in (percent(each[method]), f"{seconds[name][method].mean():.0f}")
        ]
        mark = " *" if name in CHOSEN_ON else ""
        rows.append([f"{name}{mark}", *cells])
    page.table(["set", *columns], rows)
    page.text("* The defaults were chosen on other splits of this set.")
    if ratio is not None:
        mean, low, high = ratio
        page.text(
            f"Our error over PyTorch's: {mean:.2f} in the geometric mean over the sets "
            f"(95 % interval: {low:.2f} to {high:.2f})."
        )
