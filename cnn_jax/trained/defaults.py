"""The network and the options of a training where they are not given."""

from typing import Any

import numpy as np

from cnn_jax import models, training
from cnn_jax.data import Dataset
from cnn_jax.data.dataset import length
from cnn_jax.data.readers import AudioReader

MIN_IMAGE_SIZE = 32  # For which the networks for small images were made.


def default_model(dataset: Dataset) -> tuple[str, str]:
    """The network for some data where none is named.

    Args:
        dataset: The data.

    Returns:
        One of `models.MODELS`, and the reason in words.
    """
    if len(dataset.shape) == 1:
        if isinstance(_reader(dataset), AudioReader):
            return "sound_net", "for audio: a log-mel spectrogram and convolutions"
        return "mlp", "for tables, whose columns have no order"
    side, channels = min(dataset.shape[:2]), dataset.shape[-1]
    if side > 64:
        return "resnet18", f"for images of {side} pixels"
    if channels == 1 and side <= 40:
        return "lenet5_relu", "for small grey images"
    return "resnet20", f"for images of {side} pixels"


def default_options(model: str, dataset: Dataset) -> dict[str, Any]:
    """The arguments with which a model reads some data.

    Args:
        model: One of `models.MODELS`.
        dataset: The data.

    Returns:
        Options for `models.build`.

    Raises:
        ValueError: If the model reads another kind of data.
    """
    options: dict[str, Any] = {"classes": len(dataset.classes)}
    if model == "mlp":
        return options | {"shape": list(dataset.shape)}
    reader, audio = _reader(dataset), len(models.made_for(model)) == 1
    if audio != isinstance(reader, AudioReader) or len(dataset.shape) != 3 - 2 * audio:
        kind = {3: "images"}.get(len(dataset.shape), "rows of a table")
        kind = "audio" if isinstance(reader, AudioReader) else kind
        reads = "audio" if audio else "images"
        suitable = default_model(dataset)[0]
        raise ValueError(
            f"`model` is {model!r}, which reads {reads}, but the data are {kind}; "
            f"{suitable!r} reads them."
        )
    if audio:
        return options | {"rate": reader.rate}
    height, width, channels = dataset.shape
    options |= {"size": min(height, width)}
    if model != "xo_net":
        return options | {"channels": channels}
    if channels != 1:
        raise ValueError("`model` is 'xo_net', which reads grey images, not colours.")
    return options


def default_config(dataset: Dataset, **given: Any) -> training.Config:
    """The options of the training of some data where they are not given.

    Args:
        dataset: The data.
        **given: Fields of a `training.Config`; None stands for the default.

    Returns:
        Adam with a one-cycle schedule; 10 to 60 epochs, fewer for more examples. Small
        grey images are distorted, other images shifted and mirrored.
    """
    count = length(dataset.train)
    batch = int(np.clip(count // 8, min(16, count), 64))
    epochs = int(np.clip(64_000 / count, 10, 60))
    augment: tuple[Any, ...] = ()
    if len(dataset.shape) == 3:
        grey = dataset.shape[-1] == 1
        augment = ("affine", "elastic") if grey else ("crop", "flip")
    defaults = {
        "epochs": epochs,
        "batch_size": batch,
        "optimizer": "adam",
        "schedule": "onecycle",
        "learning_rate": 3e-3,
        "augment": augment,
        "keep_best": True,
        "save_every": 30.0,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return training.Config(**defaults | given)


def _reader(dataset: Dataset) -> Any:
    return None if dataset.origin is None else dataset.origin.reader
