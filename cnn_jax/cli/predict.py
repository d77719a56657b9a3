"""`cnn-jax predict`."""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from cnn_jax import trained, training
from cnn_jax.cli.options import positional
from cnn_jax.data.files import reason
from cnn_jax.data.folder import shown

Format = Literal["table", "json", "csv"]


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the classes or the quantity of files with a trained network.

    Files that cannot be read, and inputs whose prediction is not finite, are reported
    on the error output; the exit status is 1.

    Args:
        run: The run folder.
        files: Images, audio or CSV files; a folder stands for all files below it.
        format: The output: a table for people, or JSON or CSV for programs.
    """

    run: Annotated[Path, *positional("RUN")]
    files: Annotated[tuple[Path, ...], *positional("FILES...", "(required)")]
    format: Format = "table"

    def __call__(self) -> int:
        """Prints a prediction for each file."""
        net = trained.load(self.run)
        files = expanded(self.files)
        if not files:
            raise ValueError("`files` is empty, but a prediction needs at least one.")
        unread = unpredicted = 0
        kind = _Output if net.about.target is None else _Quantities
        output = kind(self.format, net.about.classes, max(map(len, map(str, files))))
        for name, prediction in net.predict(files):
            if isinstance(prediction, Exception):
                no = isinstance(prediction, training.NotFiniteError)
                unpredicted += no
                unread += not no
                print(f"{name}: {reason(prediction)}", file=sys.stderr)
            else:
                output.add(name, prediction)
        output.end()
        if unread:
            print(
                f"{unread:,} of {len(files):,} files could not be read.",
                file=sys.stderr,
            )
        if unpredicted:
            print(f"{unpredicted:,} input(s) have no prediction.", file=sys.stderr)
        return int(unread + unpredicted > 0)


def expanded(files: Sequence[Path]) -> list[Path]:
    """Files, with folders replaced by the files below them.

    Args:
        files: Files and folders.
    """
    found: list[Path] = []
    for file in files:
        inside = sorted(filter(shown, file.rglob("*"))) if file.is_dir() else [file]
        found += [path for path in inside if not path.is_dir()]
    return found


@dataclasses.dataclass
class _Output:
    """Prints predictions one by one."""

    format: Format
    classes: tuple[str, ...]
    width: int
    count: int = 0

    def add(self, name: str, prediction: np.ndarray) -> None:
        """Prints the prediction for a file."""
        probabilities = prediction
        best = int(probabilities.argmax())
        predicted, highest = self.classes[best], float(probabilities[best])
        if self.format == "table":
            column = max(map(len, self.classes))
            print(f"{name:<{self.width}}  {predicted:<{column}}  {highest:.3f}")
        elif self.format == "json":
            each = dict(zip(self.classes, map(float, probabilities), strict=True))
            line = {"file": name, "class": predicted, "probabilities": each}
            print(("[" if not self.count else ",") + json.dumps(line))
        else:
            if not self.count:
                print(_csv(["file", "class", *self.classes]))
            print(_csv([name, predicted, *(f"{p:.6f}" for p in probabilities)]))
        self.count += 1

    def end(self) -> None:
        """Prints the end of the output."""
        if self.format == "json":
            print("]" if self.count else "[]")


class _Quantities(_Output):
    """Prints predicted quantities one by one."""

    def add(self, name: str, prediction: np.ndarray) -> None:
        """Prints the prediction for a row of a table."""
        (label,), value = self.classes, float(prediction[0])
        if self.format == "table":
            print(f"{name:<{self.width}}  {value:.6g}")
        elif self.format == "json":
            line = json.dumps({"file": name, label: value})
            print(("[" if not self.count else ",") + line)
        else:
            if not self.count:
                print(_csv(["file", label]))
            print(_csv([name, f"{value:.8g}"]))
        self.count += 1


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
