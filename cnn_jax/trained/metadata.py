"""What `config.json` of a run says about its data and its network."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from cnn_jax import models
from cnn_jax.data import Dataset
from cnn_jax.data.readers import to_fields
from cnn_jax.nn import Chain
from cnn_jax.tasks import Classification
from cnn_jax.trained.defaults import default_options
from cnn_jax.trained.quantity import target_of
from cnn_jax.trained.readers import read_reader
from cnn_jax.training.arrays import checksum
from cnn_jax.training.run_files import checked_fields, read_json

MOVABLE = ("data", "data_dir")  # May be edited where data were moved.
_MORE: dict[str, Any] = {  # Further fields of `config.json`.
    "checksums": dict[str, str],
    "hardware": str,
    "training": dict[str, Any],
    "functions": dict[str, str],
}


@dataclasses.dataclass(frozen=True)
class Metadata:
    """The data, network and classes of a run, as its `config.json` holds them.

    Args:
        data: A folder, a CSV file or a named data set.
        model: One of `models.MODELS`.
        options: The arguments of the model.
        classes: The names of the classes, in the order of the logits.
        reader: Turns a file into an input; see `data.readers.to_fields`.
        label: The label column of a table.
        seed: For the splits, the weights and the training.
        data_dir: The folder of named data sets.
        target: The mean and standard deviation of a quantity as label, with which
            outputs are brought to its unit; None for classes.

    Attributes:
        checksums: Of each field that predictions and splits depend on.
    """

    data: str
    model: str
    options: dict[str, Any]
    classes: tuple[str, ...]
    reader: dict[str, Any]
    label: str | None = None
    seed: int = 0
    data_dir: str | None = None
    target: tuple[float, float] | None = None
    checksums: dict[str, str] = dataclasses.field(init=False)

    def __post_init__(self):
        found = {
            field.name: checksum(json.dumps(getattr(self, field.name), sort_keys=True))
            for field in dataclasses.fields(self)
            if field.init and field.name not in MOVABLE
        }
        object.__setattr__(self, "checksums", found)

    def build(self) -> Chain:
        """The network, with initial weights drawn from the seed."""
        return models.build(self.model, rngs=nnx.Rngs(self.seed), **self.options)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions from the outputs of the network.

        Args:
            outputs: One row per example.

        Returns:
            The probability of each class, or the quantity in its unit.
        """
        if self.target is None:
            return np.asarray(Classification().decode(outputs))
        mean, deviation = self.target
        return outputs.astype(np.float64) * deviation + mean


def read_metadata(folder: str | Path) -> Metadata:
    """Reads the metadata of a run, and checks every field.

    Args:
        folder: A folder that `cnn-jax train` made.

    Returns:
        Its metadata.

    Raises:
        ValueError: If the folder is not such a run, or its `config.json` is not what
            was written; the message names the field.
    """
    file = Path(folder) / "config.json"
    written: Any = read_json(file, dict[str, Any]) if file.is_file() else {}
    if not {"data", "model", "reader"} & written.keys():
        content = sorted(path.name for path in Path(folder).glob("*"))[:5]
        raise ValueError(
            f"{folder} is no run: a folder that `cnn-jax train` made is expected, with "
            "`config.json` and `checkpoints/`, but it has "
            f"{', '.join(content) or 'nothing'}."
        )
    about = Metadata(**checked_fields(str(file), Metadata, written, more=_MORE))
    if about.model not in models.MODELS:
        raise ValueError(
            f"{file}: `model` is {about.model!r}, but must be one that `cnn-jax "
            "models` lists."
        )
    read_reader(f"{file}: `reader`", about.reader)
    _check_unchanged(file, about, written.get("checksums"))
    return about


def _check_unchanged(file: Path, about: Metadata, stored: Any) -> None:
    """Compares the checksums of the fields with those that were written."""
    if stored is None:
        warnings.warn(
            f"{file} has no `checksums`, as in runs of earlier versions: a change "
            "after the training is not noticed.",
            stacklevel=3,
        )
        return
    for name in sorted(about.checksums.keys() | stored.keys()):
        if about.checksums.get(name) != stored.get(name):
            raise ValueError(
                f"{file} was changed after the training: `{name}` has another "
                "checksum, and predictions would be wrong. Undo the change, or train "
                "again."
            )


def make_metadata(dataset: Dataset, model: str, name: str, **rest: Any) -> Metadata:
    """The metadata of a new run.

    Args:
        dataset: The data.
        model: One of `models.MODELS`.
        name: The path or name of the data.
        **rest: Further fields of `Metadata`.

    Returns:
        A record for `config.json`.

    Raises:
        ValueError: If the model reads another kind of data, or the data have no reader.
    """
    if dataset.origin is None:
        raise ValueError(
            f"{name} has inputs of shape {dataset.shape}, for which there is no reader."
        )
    options, reader = default_options(model, dataset), to_fields(dataset.origin.reader)
    rest["target"] = target_of(dataset)
    return Metadata(name, model, options, dataset.classes, reader, **rest)
