"""The synthetic digits as a TensorFlow Datasets builder; it downloads nothing."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
import tensorflow_datasets as tfds

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.builders.synthetic_digits.record import RATE, WORDS

HERE = Path(__file__).parent


class Samples(tfds.features.Tensor):
    """Samples of sounds; TFDS makes its own feature of them with TensorFlow alone."""

    sample_rate: ClassVar[int] = RATE


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The words zero to nine, each in one recording, and who spoke it."""

    name = "synthetic_digits"
    VERSION = tfds.core.Version(VERSIONS["synthetic_digits"])
    RELEASE_NOTES: dict[str, str] = {"1.0.0": "First release."}  # noqa: RUF012
    BUILDER_CONFIGS: ClassVar[list[Any]] = [
        tfds.core.BuilderConfig(
            name="voices",
            description="The test has other voices than the training split.",
        ),
        tfds.core.BuilderConfig(
            name="other_engine",
            description="The same training split; the test is from another engine.",
        ),
    ]

    builder_config: tfds.core.BuilderConfig

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "audio": Samples(shape=(None,), dtype=np.int16),
                    "label": tfds.features.ClassLabel(names=list(WORDS)),
                }
            ),
            supervised_keys=("audio", "label"),
            homepage="https://github.com/espeak-ng/espeak-ng",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        other = self.builder_config.name == "other_engine"
        names = {"test": "other_engine" if other else "test"}
        splits = "train", "validation", "test"
        return {s: self._generate_examples(names.get(s, s)) for s in splits}

    def _generate_examples(self, part: str) -> Iterator[tuple[str, dict[str, Any]]]:
        waves, _ = soundfile.read(HERE / f"{part}.ogg", dtype="int16")
        with open(HERE / "recordings.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == part]
        for row in rows:
            first, samples = int(row["first"]), int(row["samples"])
            audio = waves[first : first + samples]
            yield f"{part}{first}", {"audio": audio, "label": row["word"]}
