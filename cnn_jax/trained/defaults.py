"""The network and the options of a training where they are not given."""

from collections.abc import Collection
from typing import Any

import numpy as np

from cnn_jax import models, nn, training
from cnn_jax.data import Dataset
from cnn_jax.data.dataset import length
from cnn_jax.data.readers import AudioReader
from cnn_jax.trained.invariance import CHANGES

MIN_IMAGE_SIZE = 32  # For which the networks for small images were made.
MANY = 5000  # Training images from which a large network is the default.
BUDGET = 3.5e12  # Multiply-adds of a training: two to three minutes on two cores.


def default_model(dataset: Dataset) -> tuple[str, str]:
    """The network for some data where none is named.

    Args:
        dataset: The data.

    Returns:
        One of `models.MODELS`, and the reason in words.
    """
    if len(dataset.shape) == 1:
        if isinstance(dataset.reader, AudioReader):
            return "sound_net", "for audio: a log-mel spectrogram and convolutions"
        return "mlp", "for tables, whose columns have no order"
    count, side = length(dataset.train), min(dataset.shape[:2])
    if count < MANY:
        return "small_vgg", f"for {count:,} images, which are few"
    return "resnet18" if side > 64 else "resnet20", f"for images of {side} pixels"


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
    reader, audio = dataset.reader, len(models.made_for(model)) == 1
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


def default_config(
    dataset: Dataset,
    model: str,
    *,
    harmless: Collection[str] = (),
    **given: Any,
) -> training.Config:
    """The options of the training of some data where they are not given.

    Args:
        dataset: The data.
        model: One of `models.MODELS`.
        harmless: Those of `invariance.CHANGES` that keep the classes of images.
        **given: Fields of a `training.Config`; None stands for the default.

    Returns:
        AdamW with a one-cycle schedule, of as many epochs as `BUDGET` allows, and the
        random changes of images that are harmless; for tables and audio, Adam and 10 to
        60 epochs, fewer for more examples.
    """
    count = length(dataset.train)
    defaults: dict[str, Any] = {
        "epochs": int(np.clip(64_000 / count, 10, 60)),
        "batch_size": int(np.clip(count // 8, min(16, count), 64)),
        "optimizer": "adam",
        "schedule": "onecycle",
        "learning_rate": 3e-3,
        "keep_best": True,
        "save_every": 30.0,
    }
    if len(dataset.shape) == 3:
        defaults |= _for_images(dataset, model, harmless)
    given = {name: value for name, value in given.items() if value is not None}
    return training.Config(**defaults | given)


def _for_images(
    dataset: Dataset, model: str, harmless: Collection[str]
) -> dict[str, Any]:
    """Options that differ for images."""
    outline = models.outline(model, **default_options(model, dataset))
    cost = length(dataset.train) * nn.summary(outline, dataset.shape).multiply_adds
    augment = ["affine"] if "rotated" in harmless else ["affine", "elastic"]
    for change, names in CHANGES.items():
        augment += names if change in harmless else ()
    epochs = int(np.clip(BUDGET / cost, 10, 220))
    options = {"epochs": epochs, "augment": tuple(augment)}
    return models.hyperparameters("small_vgg") | options
