"""`cnn-jax train`."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cnn_jax import data, models, nn, trained, training
from cnn_jax.cli.cluster import Cluster, Options, shared_folder
from cnn_jax.cli.fit import run_fit
from cnn_jax.cli.options import (
    FROM_DATA,
    DataDir,
    Drop,
    Label,
    RunName,
    Size,
    optional,
    positional,
)
from cnn_jax.cli.reuse import SIZE, Reuse, train_head, write_start
from cnn_jax.cli.show import show_changes, show_data, show_imbalance, show_plan
from cnn_jax.data import Dataset
from cnn_jax.data.augment import AugmentName
from cnn_jax.data.options import check_positive, refuse
from cnn_jax.data.readers import Framing
from cnn_jax.data.splits import with_validation
from cnn_jax.training.processes import agree


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a network on a folder of images or audio, a table, or a named data set.

    A folder has one subfolder per class. A table has columns of numbers, dates or text,
    which are recognised. Options that are not given are chosen from the data, and the
    choice is shown. Everything is written to a run folder, which is all that the other
    commands need.

    Args:
        data: A folder, a CSV file, or a name that `cnn-jax datasets` lists.
        model: One of `cnn-jax models`.
        pretrained: Published weights to start from, such as resnet50.tv2_in1k; a new
            last stage is trained on their features, which are computed once.
        weights: A file of these weights on disk, where there is no network.
        unfreeze: The first stage that is fine-tuned after that, at a tenth of the
            learning rate, such as layer4.
        label: The column of a table that is predicted from the others: classes, or a
            quantity, such as a price.
        group: Keeps examples together in one split: a column of a table, or a part of
            file names, such as `speaker` in `speaker-3_yes.wav`.
        drop: Columns of a table that are not used.
        size: Height and width that images are resized to.
        framing: Whether images of another ratio are cropped, padded or stretched.
        rate: Samples per second that audio is resampled to.
        seconds: The length that audio is cut or padded to.
        broken: The largest fraction of files that may be broken.
        epochs: Passes over the training split.
        minutes: Bounds the time by fewer epochs, as measured on this machine.
        patience: Epochs without a better validation error after which training stops.
        batch_size: Examples per step.
        learning_rate: The peak of a one-cycle schedule.
        augment: Random changes of training examples, any of crop, flip, affine,
            elastic, rotate, resized_crop, color_jitter, grayscale, invert,
            permute_channels, trivial_augment, cutout, time_mask and frequency_mask.
        class_weights: `balanced` gives rare classes more weight in the loss.
        precision: The dtype of the computation.
        keep_state: Keeps the last checkpoint beside the best weights, with everything
            that a longer training continues from; three times as large.
        name: The name of the run.
        runs: The folder of all runs.
        data_dir: The folder of named data sets.
        seed: For splits, weights and training.
        cluster: Devices and processes.
    """

    data: Annotated[str, *positional("DATA")]
    model: Annotated[str | None, optional("MODEL", FROM_DATA)] = None
    pretrained: Annotated[str | None, optional("NAME", "none")] = None
    weights: Annotated[Path | None, optional("FILE", "from the network")] = None
    unfreeze: Annotated[str | None, optional("STAGE", "only the last stage")] = None
    label: Label = None
    group: Annotated[str | None, optional("COLUMN|WORD", "no groups")] = None
    drop: Drop = ()
    size: Size = None
    framing: Annotated[Framing | None, optional("crop|pad|stretch", FROM_DATA)] = None
    rate: Annotated[int | None, optional("HERTZ", FROM_DATA)] = None
    seconds: Annotated[float | None, optional("SECONDS", FROM_DATA)] = None
    broken: float = 0.01
    epochs: Annotated[int | None, optional("EPOCHS", FROM_DATA)] = None
    minutes: Annotated[float | None, optional("MINUTES", "no bound")] = None
    patience: Annotated[int | None, optional("EPOCHS", "never")] = None
    batch_size: Annotated[int | None, optional("EXAMPLES", FROM_DATA)] = None
    learning_rate: Annotated[float | None, optional("RATE", "0.003")] = None
    augment: Annotated[
        tuple[AugmentName, ...] | None, optional("NAME...", FROM_DATA)
    ] = None
    class_weights: Annotated[
        Literal["balanced"] | None, optional("balanced", "every example counts alike")
    ] = None
    precision: training.Precision = "float32"
    keep_state: bool = False
    name: RunName = None
    runs: Path = Path("runs")
    data_dir: DataDir = None
    seed: int = 0
    cluster: Options = dataclasses.field(default_factory=Cluster)

    def __call__(self) -> int:
        """Trains, evaluates and writes a report."""
        began = time.time()
        self._check()
        self.cluster.join()
        page = self.cluster.page(f"Training on {self.data}")
        dataset = self._load()
        show_data(page, self.data, dataset)
        show_imbalance(page, dataset, self.class_weights)
        model, reason = self._model(dataset)
        about = self._metadata(dataset, model)
        first, *more = self._configs(dataset, model)
        config = more[0] if more else first
        # Before anything takes time or memory.
        training.check(models.outline(model, **about.options), dataset, config)
        net = about.build() if self._reuse is None else self._reuse.net(about)
        images = len(dataset.shape) == 3
        if images and self.augment is None and self._reuse is None:
            kept = trained.measure_changes(dataset, seed=self.seed)
            show_changes(page, kept)
            harmless = [name for name, one in kept.items() if one.harmless]
            config = self._config(dataset, model, harmless)
        if self.minutes is not None:
            epochs = trained.epochs_within(self.minutes, net, dataset, config)
            epochs = agree(epochs)
            config = dataclasses.replace(config, epochs=epochs)
        show_plan(page, about, reason, config, dataset)
        if more:
            train_head(page, net, dataset, first)
        folder = shared_folder(lambda: self._folder(about, dataset, net))
        return run_fit(page, folder, net, dataset, config, began)

    def _folder(self, about: trained.Metadata, dataset: Dataset, net: nn.Chain) -> Path:
        """The run folder, with what the other commands need."""
        folder = training.Run.create(self.runs, "train", self.name, about).folder
        trained.write_splits(folder, dataset)
        if self._reuse is not None:
            write_start(folder, net)
        return folder

    @property
    def _reuse(self) -> Reuse | None:
        """The published weights that the training starts from, if any."""
        if self.pretrained is None:
            return None
        return Reuse(self.pretrained, self.weights, self.unfreeze)

    def _model(self, dataset: Dataset) -> tuple[str, str]:
        """The network, and the reason for it."""
        if self._reuse is not None:
            return self._reuse.model, f"with the weights {self.pretrained}"
        if self.model is not None:
            return self.model, "as given"
        return trained.default_model(dataset)

    def _metadata(self, dataset: Dataset, model: str) -> trained.Metadata:
        reuse = self._reuse
        return trained.make_metadata(
            dataset,
            model,
            self._source(),
            options=None if reuse is None else reuse.options(dataset),
            label=self.label,
            seed=self.seed,
            data_dir=None if self.data_dir is None else str(self.data_dir),
            pretrained=self.pretrained,
        )

    def _configs(self, dataset: Dataset, model: str) -> list[training.Config]:
        """The options of the training; from published weights, perhaps of two."""
        config = self._config(dataset, model)
        if self._reuse is None:
            return [config]
        if self.augment is None:
            config = dataclasses.replace(config, augment=())
        given = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        return self._reuse.configs(config, **given)

    def _check(self) -> None:
        """Refuses options that no data could make right, before data are read."""
        names = [field.name for field in dataclasses.fields(training.Config)]
        given = {name: getattr(self, name, None) for name in names}
        given |= {"devices": self.cluster.devices, "fsdp": self.cluster.fsdp}
        training.Config(**{k: value for k, value in given.items() if value is not None})
        training.check_name(self.name)
        if self.minutes is not None:
            check_positive("minutes", self.minutes, whole=False)
        if self.model is not None:
            models.made_for(self.model)
        others = {"weights": self.weights, "unfreeze": self.unfreeze}
        if self._reuse is None:
            refuse("a training without `pretrained`", others)
        else:
            refuse("a training from `pretrained` weights", {"model": self.model})
            self._reuse.check()

    def _source(self) -> str:
        path = Path(self.data).expanduser()
        return str(path.resolve()) if path.exists() else self.data

    def _load(self) -> Dataset:
        """The data; images are at least as large as networks are made for."""
        options: dict[str, Any] = {
            "label": self.label,
            "group": self.group,
            "drop": self.drop,
            "rate": self.rate,
            "seconds": self.seconds,
            "framing": self.framing,
            "broken": self.broken,
            "seed": self.seed,
            "data_dir": self.data_dir,
        }
        dataset = data.load(self.data, size=self.size, **options)
        shape, minimum = dataset.shape, trained.MIN_IMAGE_SIZE
        images = len(shape) == 3 and self.size is None
        if images and self._reuse is not None:
            dataset = data.load(self.data, size=SIZE, **options)
        small = images and min(shape[:2]) < minimum
        if small and self._reuse is None and self.model is None:
            dataset = data.load(self.data, size=minimum, **options)
        return with_validation(dataset, seed=self.seed)

    def _config(
        self, dataset: Dataset, model: str, harmless: Sequence[str] = ()
    ) -> training.Config:
        """The options, with random changes of images that keep their classes."""
        config = trained.default_config(
            dataset,
            model,
            harmless=harmless,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            augment=self.augment,
            class_weights=self.class_weights,
            patience=self.patience,
            precision=self.precision,
            keep_state=self.keep_state,
            seed=self.seed,
        )
        return self.cluster.config(config)
