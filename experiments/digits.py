"""Does LeNet-5 read handwritten digits better than a method without convolutions?

    python -m experiments.digits
    python -m experiments.digits --data mnist

LeNet-5 of 1998 trains on the 1,797 real digits that scikit-learn ships. The test split
is a stratified quarter, another one for every seed. A support-vector machine with a
Gaussian kernel trains on the very same splits; its hyperparameters are chosen on the
training images. The report shows the errors as images. The hyperparameters of LeNet-5
(activation, pooling, learning rate, augmentation) were chosen on seeds 100 to 109,
whose splits are not reported.

Expected: a mean accuracy over five seeds of at least 99 %, and not below the
support-vector machine. Under 60 seconds on 2 CPU cores.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import cnn_jax.functional as F
from cnn_jax import data, nn, report, training
from cnn_jax.models import lenet5
from cnn_jax.training.run_report import learning_curves, show_errors
from experiments._shared import finish, percent, points, resplit, start

SIZE = 32  # Height and width of LeNet-5's input.
SVM_MAX_IMAGES = 5000  # Its training time grows with the square of the number.
SVM_CHOICES = {"C": [1, 10, 100], "gamma": ["scale", 0.05]}


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/digits`; the date and time by default.
        runs: Root folder of all runs.
        data: `digits`, or an image data set of TensorFlow Datasets, such as `mnist`.
        data_dir: Folder of prepared data; `$TFDS_DATA_DIR` or `~/tensorflow_datasets`
            by default.
        seeds: Number of networks; on `digits` each has its own split.
        epochs: Training epochs.
        batch_size: Images per train step.
        learning_rate: Maximum of the one-cycle schedule.
        seed: Random seed of the whole experiment.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data: str = "digits"
    data_dir: Path | None = None
    seeds: int = 5
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Every reported figure; `svm` and `lead` are None on large data sets.

    Args:
        folder: The folder of the run.
        lenet: Test accuracy of LeNet-5 for every seed.
        svm: Test accuracy of the support-vector machine for every seed.
        lead: `lenet` minus `svm`: mean and 95 % interval.
        confusion: Number of test images by true and predicted class, over all seeds.
    """

    folder: Path
    lenet: np.ndarray
    svm: np.ndarray | None
    lead: tuple[float, float, float] | None
    confusion: np.ndarray


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    loaded = data.load(config.data, data_dir=config.data_dir)
    folder = training.Run.create(config.runs, "digits", config.name, config)
    page = report.Page(f"LeNet-5 reads {config.data}")
    splits = draw_splits(config, loaded)
    resized = [as_lenet_input(split) for split in splits]
    nets = train(page, config, resized, folder)
    logits = [
        training.predict(net, split.test["image"])
        for net, split in zip(nets, resized, strict=True)
    ]
    lenet = np.array(
        [
            (each.argmax(axis=-1) == split.test["label"]).mean()
            for each, split in zip(logits, resized, strict=True)
        ]
    )
    svm = svm_accuracy(splits) if _small_enough(splits) else None
    lead = compare(page, lenet, svm)
    confusion = errors_of_all_seeds(page, resized, logits)
    folder.log({"lenet": lenet, "svm": svm, "lead": lead})
    finish(page, folder, began)
    return Result(folder.folder, lenet, svm, lead, confusion)


def draw_splits(config: Config, loaded: data.Dataset) -> list[data.Dataset]:
    """The split of every seed: drawn anew for `digits`, otherwise as loaded."""
    seeds = range(config.seed, config.seed + config.seeds)
    if config.data == "digits":
        return [resplit(loaded, seed) for seed in seeds]
    return [data.Dataset(loaded.train, loaded.test, loaded.classes) for _ in seeds]


def as_lenet_input(split: data.Dataset) -> data.Dataset:
    """Images of 32 × 32 pixels with values from −1 to 1."""

    def resize(part: data.Split) -> data.Split:
        images = jnp.asarray(part["image"], jnp.float32)
        images = F.resize(images, (SIZE, SIZE), method="cubic", antialias=True)
        return {"image": np.asarray(images) / 127.5 - 1, "label": part["label"]}

    return data.Dataset(resize(split.train), resize(split.test), split.classes)


def train(
    page: report.Page,
    config: Config,
    splits: list[data.Dataset],
    folder: training.Run,
) -> list[nn.Chain]:
    """Trains one LeNet-5 per seed, all in one call of `fit`."""
    page.section("LeNet-5")
    nets = _networks(config, splits[0])
    page.table(*nn.summary(nets[0], splits[0].shape).table())
    images = len(splits[0].train["label"])
    page.text(
        f"{config.seeds} networks train on {images:,} images each, which are shifted, "
        "scaled, rotated and distorted at random. They have ReLU and max pooling "
        "instead of the tanh and mean pooling of 1998."
    )
    options = training.Config(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        schedule="onecycle",
        augment=("affine", "elastic"),
        seed=config.seed,
    )
    dataset = splits if config.data == "digits" else splits[0]
    records = training.fit(nets, dataset, options, folder=folder.folder)
    name = f"{config.seeds} networks"
    bar = training.progress_bar(records, name=name, console=page.console)
    learning_curves(page, list(bar))
    return nets


def _networks(config: Config, split: data.Dataset) -> list[nn.Chain]:
    build = partial(
        lenet5,
        channels=split.shape[-1],
        classes=len(split.classes),
        activation=F.relu,
        pool=nn.MaxPool,
    )
    return [build(rngs=nnx.Rngs(config.seed + i)) for i in range(config.seeds)]


def _small_enough(splits: list[data.Dataset]) -> bool:
    """Whether the support-vector machine is trained too."""
    return len(splits) > 1 and len(splits[0].train["label"]) <= SVM_MAX_IMAGES


def svm_accuracy(splits: list[data.Dataset]) -> np.ndarray:
    """Test accuracy of an SVM on each split, tuned by cross-validation on train."""
    shares = []
    for split in splits:
        train, test = (
            part["image"].reshape(len(part["label"]), -1) / 255
            for part in (split.train, split.test)
        )
        search = GridSearchCV(SVC(), SVM_CHOICES, cv=3)
        search.fit(train, split.train["label"])
        shares.append(search.score(test, split.test["label"]))
    return np.array(shares)


def compare(
    page: report.Page, lenet: np.ndarray, svm: np.ndarray | None
) -> tuple[float, float, float] | None:
    """Adds the test accuracies, and their paired difference."""
    page.section("Accuracy on the test split")
    methods = {"LeNet-5": lenet} | ({} if svm is None else {"SVM": svm})
    columns = [
        [*(f"{100 * share:.2f}" for share in shares), percent(shares, digits=2)]
        for shares in methods.values()
    ]
    names = [*(f"seed {i}" for i in range(len(lenet))), "mean ± sd"]
    page.table(
        ["%", *methods], [list(row) for row in zip(names, *columns, strict=True)]
    )
    if svm is None:
        page.text(
            "The support-vector machine (SVM) is left out: it needs at least 2 seeds "
            f"and at most {SVM_MAX_IMAGES:,} training images."
        )
        return None
    lead = training.mean_interval(lenet - svm)
    page.text(
        "The paired difference between LeNet-5 and the support-vector machine (SVM), "
        f"with its 95 % interval, is {points(lead, digits=2)} points."
    )
    return lead


def errors_of_all_seeds(
    page: report.Page, splits: list[data.Dataset], logits: list[np.ndarray]
) -> np.ndarray:
    """Adds the confusion matrix over all seeds, and images of the errors."""
    page.section("The errors of all seeds")
    images, labels = (
        np.concatenate([split.test[name] for split in splits])
        for name in ("image", "label")
    )
    return show_errors(page, images, np.concatenate(logits), labels, splits[0].classes)


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("digits", run, Config, __doc__)


if __name__ == "__main__":
    main()
