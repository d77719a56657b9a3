"""Training that starts from published weights, as `train --pretrained` does."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from flax import nnx

from cnn_jax import models, nn, report, trained, training
from cnn_jax.data import Dataset

SIZE = 224  # For which the published networks were trained.
HEAD_EPOCHS = 30  # Cheap: the features of each image are computed once.
FINE_RATE = 1e-3  # The peak for the last stage while others are fine-tuned,
BELOW = 0.1  # and its factor for these.
START = "start"  # The folder of the weights that a run starts from, until its end.


@dataclasses.dataclass(frozen=True)
class Reuse:
    """Published weights, and the stages that are fine-tuned.

    Args:
        name: The name of the weights.
        file: A file of them on disk.
        unfreeze: The first stage that is fine-tuned; None for the new last one alone.
    """

    name: str
    file: Path | None
    unfreeze: str | None

    def check(self) -> None:
        """Refuses unknown weights and stages, before data are read."""
        found = models.find_published(self.name, with_file=self.file is not None)
        if self.unfreeze is not None:
            frozen_before(models.outline(found.model), self.unfreeze)

    @property
    def model(self) -> str:
        """The name of the network."""
        return models.find_published(self.name, with_file=self.file is not None).model

    def options(self, dataset: Dataset) -> dict[str, Any]:
        """The arguments of the network, which normalizes its input itself."""
        options = trained.default_options(self.model, dataset) | {"channels": 3}
        published = models.find_published(self.name, with_file=self.file is not None)
        normalize = dataclasses.asdict(published.prepare.normalize)
        heads = {"heads": False} if self.model == "googlenet" else {}
        return options | heads | {"normalize": normalize}

    def configs(self, config: training.Config, **given: Any) -> list[training.Config]:
        """The training of the last stage, and then that of others if there are some.

        Args:
            config: The options for the data.
            **given: Those that the user gave; None for others.
        """
        net = models.outline(self.model)
        epochs = given["epochs"] or HEAD_EPOCHS
        head = dataclasses.replace(config, epochs=epochs, frozen=net.names[-2])
        if self.unfreeze is None:
            return [head]
        fine = dataclasses.replace(
            config,
            learning_rate=given["learning_rate"] or FINE_RATE,
            frozen=frozen_before(net, self.unfreeze),
            rate_below=BELOW,
        )
        return [head, fine]

    def net(self, about: trained.Metadata) -> nn.Chain:
        """The network with published weights, and a new last stage."""
        weights = models.pretrained(self.name, file=self.file)
        classes = len(about.classes)
        return models.reuse(weights, classes=classes, rngs=nnx.Rngs(about.seed))


def frozen_before(net: nn.Chain, stage: str) -> str | None:
    """The stage before one that is fine-tuned; None before the first.

    Args:
        net: The network.
        stage: The name of one of its stages.

    Raises:
        ValueError: If there is no such stage.

    Example:
        >>> frozen_before(models.outline("resnet18"), "layer4")
        'layer3'
    """
    if stage not in net.names:
        raise ValueError(
            f"`unfreeze` is {stage!r}, but the stages are {', '.join(net.names)}."
        )
    index = net.names.index(stage)
    return net.names[index - 1] if index else None


def train_head(
    page: report.Page, net: nn.Chain, dataset: Dataset, config: training.Config
) -> None:
    """Trains the new last stage alone, so that others are not spoiled by it.

    Args:
        page: The page.
        net: The network.
        dataset: The data.
        config: The options.
    """
    page.text(
        "The new last stage is trained first, on features that are computed once: "
        f"{config.epochs} epochs."
    )
    records = training.fit(net, dataset, config)
    for _ in training.progress_bar(records, name="last stage", console=page.console):
        pass


def write_start(folder: Path, net: nn.Chain) -> None:
    """Writes the weights that a run starts from, so that it can be resumed.

    Args:
        folder: The run folder.
        net: The network.
    """
    training.save(folder / START, net)


def read_start(folder: Path, net: nn.Chain) -> None:
    """Brings the weights that a run starts from into its network, if there are any.

    Args:
        folder: The run folder.
        net: The network.
    """
    if (folder / START).is_dir():
        training.restore(folder / START, net)


def remove_start(folder: Path) -> None:
    """Removes the weights that a run started from, at its end.

    Args:
        folder: The run folder.
    """
    shutil.rmtree(folder / START, ignore_errors=True)
