"""`cnn-jax`: from your own data to a trained network, and its answers, by commands."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from flax import nnx

from cnn_jax import data, locality, models, nn, report, trained, training
from cnn_jax.data import Dataset
from cnn_jax.data.augment import AugmentName
from cnn_jax.data.dataset import length
from cnn_jax.data.folder import reason, shown
from cnn_jax.data.loader import prepared
from cnn_jax.data.readers import AUDIO_SUFFIXES, IMAGE_SUFFIXES, from_fields
from cnn_jax.data.splits import with_validation
from cnn_jax.data.table import SUFFIXES, columns_of

Format = Literal["table", "json", "csv"]


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a network on a folder of pictures or sounds, a table, or a named set.

    A folder has one subfolder per class. What is not said is chosen from the data, and
    the choice is shown. Everything goes into a run folder, which is all that the other
    commands need.

    Args:
        data: A folder, a CSV file, or a name that `cnn-jax datasets` lists.
        model: One of `cnn-jax models`; by default what suits the data.
        label: The column of a table that is to be told from the others.
        group: What is kept apart when splitting: a column of a table, or a part of file
            names, such as `speaker` in `speaker-3_yes.wav`.
        drop: Columns of a table that are left out.
        size: Height and width that pictures are brought to.
        rate: Samples per second that sounds are brought to.
        seconds: The length that sounds are cut or filled up to.
        broken: The largest share of files that may be broken.
        epochs: How often every example is seen.
        batch_size: Examples per step.
        learning_rate: The peak of a one-cycle schedule.
        augment: How training examples are changed by chance.
        precision: What the network computes in.
        name: Of the run; the date and time by default.
        runs: Where runs lie.
        data_dir: Where named sets lie.
        seed: Of the splits, the weights and the training.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    model: str | None = None
    label: str | None = None
    group: str | None = None
    drop: tuple[str, ...] = ()
    size: int | None = None
    rate: int | None = None
    seconds: float | None = None
    broken: float = 0.01
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    augment: tuple[AugmentName, ...] | None = None
    precision: training.Precision = "float32"
    name: str | None = None
    runs: Path = Path("runs")
    data_dir: Path | None = None
    seed: int = 0

    def __call__(self) -> int:
        """From the data to a report."""
        began = time.time()
        page = report.Page(f"Training on {self.data}")
        found = self._load()
        show_data(page, self.data, found)
        model, why = trained.model_for(found)
        if self.model is not None:
            model, why = self.model, "as asked"
        config = self._config(model, found)
        about = trained.about(
            found,
            model,
            self._where(),
            label=self.label,
            seed=self.seed,
            data_dir=None if self.data_dir is None else str(self.data_dir),
        )
        show_plan(page, about, why, config, found)
        net = about.build()
        training.check(net, found, config)  # Before there is a run folder.
        folder = training.Run.create(self.runs, "train", self.name, about).folder
        trained.write_origin(folder, found)
        return _fit(page, folder, net, found, config, began)

    def _where(self) -> str:
        path = Path(self.data).expanduser()
        return str(path.resolve()) if path.exists() else self.data

    def _load(self) -> Dataset:
        """The data, pictures no smaller than networks are made for."""
        options: dict[str, Any] = {
            "label": self.label,
            "group": self.group,
            "drop": self.drop,
            "rate": self.rate,
            "seconds": self.seconds,
            "broken": self.broken,
            "seed": self.seed,
            "data_dir": self.data_dir,
        }
        found = data.load(self.data, size=self.size, **options)
        small = len(found.shape) == 3 and min(found.shape[:2]) < trained.SMALLEST
        if small and self.size is None and self.model is None:
            found = data.load(self.data, size=trained.SMALLEST, **options)
        return with_validation(found, seed=self.seed)

    def _config(self, model: str, found: Dataset) -> training.Config:
        return trained.config_for(
            model,
            found,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            augment=self.augment,
            precision=self.precision,
            seed=self.seed,
        )


@dataclasses.dataclass(frozen=True)
class Resume:
    """Go on with a run that was cut off.

    Args:
        run: Its folder.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]

    def __call__(self) -> int:
        """From the newest checkpoint to a report."""
        began, folder = time.time(), self.run
        about = trained.read_about(folder)
        page = report.Page(f"Training on {about.data}")
        found = trained.data_of(folder)
        config = training.read_config(folder)
        show_data(page, about.data, found)
        show_plan(page, about, "as before", config, found)
        return _fit(page, folder, about.build(), found, config, began)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Test a trained network on what it never saw.

    Args:
        run: The folder of the run.
        data: A folder, CSV file or named set; by default what the run kept aside.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    data: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")
    ] = None

    def __call__(self) -> int:
        """Prints what is right, class by class."""
        net = trained.load(self.run)
        page = report.Page(f"Testing {self.run}")
        show_test(page, net, net.examples(self.data))
        return 0


@dataclasses.dataclass(frozen=True)
class Predict:
    """Ask a trained network about files.

    Files that cannot be read are named on the error output, and the exit status is 1.

    Args:
        run: The folder of the run.
        files: Images, sounds or CSV files; a folder stands for all files below it.
        format: What is printed: a table for people, or JSON or CSV for programs.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    files: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILES...")
    ]
    format: Format = "table"

    def __call__(self) -> int:
        """Prints a vote per file."""
        net = trained.load(self.run)
        files = _expanded(self.files)
        if not files:
            raise ValueError("there are no files to ask about.")
        broken = 0
        out = _Out(self.format, net.about.classes, max(map(len, map(str, files))))
        for name, found in net.predict(files):
            if isinstance(found, Exception):
                broken += 1
                print(f"{name}: {reason(found)}", file=sys.stderr)
            else:
                out.add(name, found)
        out.end()
        if broken:
            print(
                f"{broken:,} of {len(files):,} files could not be read.",
                file=sys.stderr,
            )
        return int(broken > 0)


@dataclasses.dataclass(frozen=True)
class Locality:
    """Ask whether a convolutional network is the right tool for your data.

    The same small network learns the data as they are and with their columns, pixels or
    samples in other orders; a network without convolutions and boosted trees learn them
    too. About a minute for 1,000 rows of 30 columns.

    Args:
        data: A folder, a CSV file, or a name that `cnn-jax datasets` lists.
        label: The column of a table that is to be told from the others.
        drop: Columns of a table that are left out.
        size: Height and width that pictures are brought to.
        budget: Other orders that are tried; from 99 on a rank decides.
        seeds: Splits into rows to learn from and to test on.
        name: Of the run; the date and time by default.
        runs: Where runs lie.
        data_dir: Where named sets lie.
        seed: Of everything.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    label: str | None = None
    drop: tuple[str, ...] = ()
    size: int | None = None
    budget: int = locality.ENOUGH
    seeds: int = 10
    name: str | None = None
    runs: Path = Path("runs")
    data_dir: Path | None = None
    seed: int = 0

    def __call__(self) -> int:
        """Prints the verdict and writes it to a page."""
        began = time.time()
        inputs, labels, names = self._load()
        found = locality.test(
            inputs,
            labels,
            key=jax.random.key(self.seed),
            names=names,
            seeds=self.seeds,
            budget=self.budget,
        )
        folder = training.Run.create(self.runs, "locality", self.name, self).folder
        page = report.Page(f"Is {self.data} something for a convolutional network?")
        show_locality(page, found)
        footer = f"{time.time() - began:.0f} s on {training.hardware()}"
        page.write(folder / "report.html", footer=footer)
        print(f"report: {folder / 'report.html'}")
        return 0

    def _load(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All examples, and the names of columns."""
        path = Path(self.data).expanduser()
        if path.suffix.lower() in SUFFIXES:
            return columns_of(path, label=self.label, drop=self.drop)
        how: dict[str, Any] = {"label": self.label, "drop": self.drop}
        found = data.load(self.data, size=self.size, data_dir=self.data_dir, **how)
        splits = found.splits().values()
        if not all(isinstance(split, dict) for split in splits):
            raise ValueError(f"{self.data} does not fit into memory; choose `--size`.")
        name = data.input_name(found.train)
        inputs = np.concatenate([split[name] for split in splits])
        labels = np.concatenate([split["label"] for split in splits])
        named = np.array(found.classes)[labels]
        return inputs if inputs.ndim > 2 else inputs[..., None], named, []


@dataclasses.dataclass(frozen=True)
class Summary:
    """Show the stages of a network: volumes, weights, cost and sight.

    Args:
        what: One of `cnn-jax models`, or the folder of a run.
    """

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]

    def __call__(self) -> int:
        """Prints a row per stage."""
        if Path(self.what).is_dir():
            about = trained.read_about(self.what)
            name, options = about.model, about.options
            shape = from_fields(about.reader).shape
        else:
            name, options = self.what, {}
            shape = models.made_for(name)
        print(nn.summary(models.outline(name, **options), shape))
        return 0


@dataclasses.dataclass(frozen=True)
class Datasets:
    """List the data sets that have a name.

    Args:
        data_dir: Where named sets lie.
    """

    data_dir: Path | None = None

    def __call__(self) -> int:
        """Prints what is here, what is prepared, and how to get others."""
        found = prepared(self.data_dir)
        for name, what in OWN.items():
            print(f"{name:<18}{what}")
        print(f"prepared by TensorFlow Datasets: {', '.join(found) or 'none'}")
        print("any other of tensorflow.org/datasets: downloaded, if there is a network")
        print("your own: a folder with one subfolder per class of")
        print(f"  pictures  {' '.join(sorted(IMAGE_SUFFIXES))}")
        print(f"  sounds    {' '.join(sorted(AUDIO_SUFFIXES))}")
        print("or a table, .csv or .tsv, with a column for the class (--label)")
        return 0


OWN = {
    "xo": "X's and O's, 28 pixels, moderately deformed; also xo/hard and others",
    "digits": "1,797 handwritten digits of 8 pixels",
    "synthetic_digits": "3,160 words, synthetic speech; also /other_engine",
}
MOST_ROWS = 40  # Classes that a table names.


@dataclasses.dataclass(frozen=True)
class Models:
    """List the networks."""

    def __call__(self) -> int:
        """Prints a row per network."""
        print(f"{'name':<14}{'made for':<13}{'weights':>12}")
        for name in models.MODELS:
            shape = "×".join(map(str, models.made_for(name)))
            weights = nnx.state(models.outline(name), nnx.Param)
            count = sum(leaf.size for leaf in jax.tree.leaves(weights))
            print(f"{name:<14}{shape:<13}{count:>12,}", flush=True)
        return 0


COMMANDS = Train | Resume | Evaluate | Predict | Locality | Summary | Datasets | Models


def main(args: Sequence[str] | None = None) -> None:
    """Runs a command, and exits with its status.

    What a user can mend ends in one line instead of a traceback.

    Args:
        args: Of the command line, by default those of the process.
    """
    command: Any = tyro.cli(COMMANDS, prog="cnn-jax", args=args, description=__doc__)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(
            f"warning: {message}", file=sys.stderr
        )
        try:
            sys.exit(command())
        except BrokenPipeError:  # Who reads has had enough, as `head` has.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (OSError, ValueError, training.NotFiniteError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)


def show_data(page: report.Page, name: str, found: Dataset) -> None:
    """Adds what was found: how many of each class in each split, and what is odd.

    Args:
        page: To which.
        name: Of the data.
        found: The data.
    """
    page.section(f"The data: {name}")
    splits = found.splits()
    counts = {
        split: Counter(np.asarray(_labels(its)).tolist())
        for split, its in splits.items()
    }
    rows = [
        [name, *(f"{counts[split][i]:,}" for split in splits)]
        for i, name in enumerate(found.classes[:MOST_ROWS])
    ]
    more = len(found.classes) - len(rows)
    rows += [[f"{more} more", *("…" for _ in splits)]] if more > 0 else []
    rows.append(["all", *(f"{length(its):,}" for its in splits.values())])
    page.table(["class", *splits], rows)
    origin = found.origin
    for line in () if origin is None else origin.notes:
        page.text(_sentence(line))
    broken = {} if origin is None else origin.broken
    if broken:
        page.table(["could not be read", "why"], list(map(list, broken.items())))


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _labels(split: Any) -> Any:
    return split["label"] if isinstance(split, dict) else split.labels


def show_plan(
    page: report.Page,
    about: trained.About,
    why: str,
    config: training.Config,
    found: Dataset,
) -> None:
    """Adds which network is trained, on what, and how.

    Args:
        page: To which.
        about: What the run is made from.
        why: This network.
        config: How it is trained.
        found: The data.
    """
    page.section(f"The network: {about.model}, {why}")
    outline = models.outline(about.model, **about.options)
    page.table(*nn.summary(outline, found.shape).table())
    reads = {"image": "pictures of {} × {} × {}", "signal": "{:,} samples"}
    what = reads.get(about.reader["kind"], "{} columns").format(*found.shape)
    changed = ", ".join(config.augment) or "nothing"
    page.text(
        f"It reads {what}. {config.epochs} epochs in batches of {config.batch_size}, "
        f"{config.optimizer}, {config.schedule} up to a rate of "
        f"{config.learning_rate:g}; changed by chance: {changed}. The weights that do "
        "best on the validation split are kept."
    )


def show_locality(page: report.Page, found: locality.Report) -> None:
    """Adds the verdict, what it rests on, and what it was about.

    Args:
        page: To which.
        found: What was found.
    """
    page.section(found.headline())
    for line in [found.reason(), *found.advice()]:
        page.text(line)
    page.section("How often each was right, on rows that it had not learned from")
    rows = []
    for name, shares in found.accuracy.items():
        mean, spread = 100 * shares.mean(), 100 * shares.std(ddof=1)
        rows.append([name, f"{mean:.1f} ± {spread:.1f}"])
    page.table(["", "right, %"], rows)
    page.text(
        "Means over splits, and their standard deviation. To all but the CNN the order "
        "means nothing."
    )
    drawn = {
        "in other orders": 100 * found.permuted,
        "as they are": [100 * found.true],
    }
    figure = report.dots({"CNN": drawn}, xlabel="right answers, %")
    page.figure(figure, "A dot for each order that the network learned in.")
    for note in found.notes:
        page.text(_sentence(note))


def show_test(page: report.Page, net: trained.Trained, split: Any) -> None:
    """Adds how often a network is right, class by class.

    Args:
        page: To which.
        net: The network.
        split: Labelled examples.
    """
    inputs, labels = split[net.reader.kind], split["label"]
    logits = training.predict(net.net, inputs)
    right = logits.argmax(axis=-1) == labels
    rows = []
    for i, name in enumerate(net.about.classes):
        of = right[labels == i]
        share = f"{100 * of.mean():.2f}" if len(of) else "–"
        rows.append([name, f"{len(of):,}", share])
    rows.append(["all", f"{len(right):,}", f"{100 * right.mean():.2f}"])
    page.section(f"On {len(right):,} examples")
    page.table(["class", "examples", "right, %"], rows)


def _fit(
    page: report.Page,
    folder: Path,
    net: nn.Chain,
    found: Dataset,
    config: training.Config,
    began: float,
) -> int:
    """Trains, and tells how it went."""
    page.section("Learning")
    records = training.fit(net, found, config, folder=folder, resume=True)
    try:
        with contextlib.closing(records):
            list(training.progress_bar(records, console=page.console))
    except (KeyboardInterrupt, SystemExit):
        page.text(
            f"Stopped. `cnn-jax resume {folder}` goes on, and `cnn-jax evaluate "
            f"{folder}` tests what there is."
        )
        raise
    where = training.write_report(folder, net, found, page=page)
    page.text(f"{time.time() - began:.0f} s on {training.hardware()}")
    page.text(f"report: {where}")
    return 0


def _expanded(files: Sequence[Path]) -> list[Path]:
    """Folders become the files below them."""
    found: list[Path] = []
    for file in files:
        inside = sorted(filter(shown, file.rglob("*"))) if file.is_dir() else [file]
        found += [path for path in inside if not path.is_dir()]
    return found


@dataclasses.dataclass
class _Out:
    """Prints logits as they come."""

    format: Format
    classes: tuple[str, ...]
    width: int
    count: int = 0

    def add(self, name: str, found: np.ndarray) -> None:
        """Prints the vote on a file."""
        best = int(found.argmax())
        said, sure = self.classes[best], float(found[best])
        if self.format == "table":
            column = max(map(len, self.classes))
            print(f"{name:<{self.width}}  {said:<{column}}  {sure:.3f}")
        elif self.format == "json":
            each = dict(zip(self.classes, map(float, found), strict=True))
            line = {"file": name, "class": said, "probabilities": each}
            print(("[" if not self.count else ",") + json.dumps(line))
        else:
            if not self.count:
                print(_csv(["file", "class", *self.classes]))
            print(_csv([name, said, *(f"{p:.6f}" for p in found)]))
        self.count += 1

    def end(self) -> None:
        """Prints what is left."""
        if self.format == "json":
            print("]" if self.count else "[]")


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


if __name__ == "__main__":
    main()
