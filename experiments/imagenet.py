"""Do published weights reach their published accuracy here?

    python -m experiments.imagenet FOLDER
    python -m experiments.imagenet FOLDER --only resnet50.tv2_in1k --images 5000

FOLDER is the validation set of ImageNet 2012, one subfolder per class with the class's
number in WordNet as its name: `n01440764/ILSVRC2012_val_00000293.JPEG`. A table shows
top-1 and top-5 of each of the published weights beside those that torchvision and timm
publish. Weights are fetched when first used; the extra `pretrained` is needed.

Expected: top-1 within 0.1 points of the published figure. (timm and torchvision differ
by as much on the same weights.) It was not run for this repository, which was written
without a network: the logits, the preprocessing and the order of the classes are
compared with torchvision's and timm's own in `tests/parity`, on weights made there.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from flax import nnx

from cnn_jax import models, report, training
from experiments._shared import compiled, finish, progress, start

SUFFIXES = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        folder: The validation set, a subfolder per class.
        name: Folder name under `runs/imagenet`; the date and time by default.
        runs: Root folder of all runs.
        only: Names of the weights; all by default.
        images: The largest number of images, spread evenly over the classes.
        batch_size: Images per call.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    name: str | None = None
    runs: Path = Path("runs")
    only: tuple[str, ...] = ()
    images: int | None = None
    batch_size: int = 64

    def __post_init__(self):
        for name in self.only:
            models.find_published(name)


@dataclass(frozen=True)
class Result:
    """The folder of the run; top-1 and top-5 in % of each of the weights."""

    folder: Path
    accuracy: dict[str, tuple[float, float]]


def run(config: Config) -> Result:
    """Evaluates each of the weights, and writes the report."""
    began = time.time()
    files, labels = validation_set(config.folder, config.images)
    folder = training.Run.create(config.runs, "imagenet", config.name, config)
    page = report.Page("Published weights on ImageNet")
    page.text(f"{len(files):,} images of {len(set(labels)):,} classes.")
    accuracy, rows = {}, []
    for name in config.only or models.pretrained_names():
        weights = models.pretrained(name)
        batches = list(in_batches(files, config.batch_size))
        shown = progress(batches, name, page.console)
        logits = np.concatenate(list(outputs(weights, shown, config.batch_size)))
        accuracy[name] = top(logits, labels, 1), top(logits, labels, 5)
        folder.log({"weights": name, "source": weights.source, "top": accuracy[name]})
        rows.append([name, *figures(accuracy[name], weights)])
    columns = ["weights", "top-1", "published", "top-5", "published"]
    page.table(columns, rows)
    finish(page, folder, began)
    return Result(folder.folder, accuracy)


def validation_set(folder: Path, images: int | None) -> tuple[list[Path], np.ndarray]:
    """The files, and the class of each.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If its subfolders are not classes of ImageNet, or are empty.
    """
    numbers = list(models.imagenet_classes())
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    other = [path.name for path in found if path.name not in numbers]
    if not found or other:
        raise ValueError(
            f"{folder} has {'the subfolder ' + other[0] if other else 'no subfolders'},"
            " but needs one per class, named by its number in WordNet, such as "
            "n01440764."
        )
    files = [
        (file, numbers.index(path.name))
        for path in found
        for file in sorted(path.iterdir())
        if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise ValueError(f"{folder} has no images with {', '.join(SUFFIXES)}.")
    step = max(1, len(files) // images) if images else 1
    chosen = files[::step][:images]
    return [file for file, _ in chosen], np.array([label for _, label in chosen])


def in_batches(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    """The files, so many at a time."""
    for first in range(0, len(files), size):
        yield files[first : first + size]


def outputs(
    weights: models.Pretrained, batches: Iterable[Sequence[Path]], size: int
) -> Iterator[np.ndarray]:
    """The logits of each batch; the last is padded, so that one compilation serves."""
    modes = {"deterministic": True, "use_running_average": True}
    view = nnx.view(weights.net, raise_if_not_found=False, **modes)
    graph, state = nnx.split(view)
    logits = compiled(lambda state, x: nnx.merge(graph, state)(x))
    with ThreadPoolExecutor() as pool:
        for batch in batches:
            read = pool.map(Path.read_bytes, batch)
            x = np.stack(list(pool.map(weights.prepare, read)))
            x = np.pad(x, [(0, size - len(x)), (0, 0), (0, 0), (0, 0)])
            yield np.asarray(logits(state, x))[: len(batch)]


def top(logits: np.ndarray, labels: np.ndarray, count: int) -> float:
    """The share of images in % whose class is among the largest logits."""
    largest = np.argsort(-logits, axis=1)[:, :count]
    return 100 * float((largest == labels[:, None]).any(axis=1).mean())


def figures(found: tuple[float, float], weights: models.Pretrained) -> list[str]:
    """Each accuracy and the published one as text."""
    texts = []
    for ours, theirs in zip(found, (weights.top1, weights.top5), strict=True):
        texts += [f"{ours:.2f}", "–" if theirs is None else f"{theirs:.2f}"]
    return texts


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("imagenet", run, Config, __doc__)


if __name__ == "__main__":
    main()
