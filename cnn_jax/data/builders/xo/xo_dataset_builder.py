"""X's and O's as a TensorFlow Datasets builder; it downloads nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cnn_jax.data.builders import VERSIONS
from cnn_jax.data.builders.xo.drawing import CLASSES, draw

STRENGTHS = {"moderate": 0.5, "hard": 1.0, "clean": 0.0}
EXAMPLES = {"train": 4000, "test": 1000}


@dataclass(kw_only=True)
class XOConfig(tfds.core.BuilderConfig):
    """How large the pictures are, and how far they are deformed."""

    size: int
    strength: float


def _configs() -> list[XOConfig]:
    """Each strength at 28 pixels a side under its plain name, then at two others."""
    return [
        XOConfig(
            name=name if size == 28 else f"{name}_{size}",
            description=f"{size} × {size} pixels, deformed by strength {strength}.",
            size=size,
            strength=strength,
        )
        for size in (28, 14, 56)
        for name, strength in STRENGTHS.items()
    ]


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of X and O in three sizes and three strengths of deformation."""

    name = "xo"
    VERSION = tfds.core.Version(VERSIONS["xo"])
    RELEASE_NOTES: dict[str, str] = {"1.0.0": "First release."}  # noqa: RUF012
    BUILDER_CONFIGS = _configs()

    builder_config: XOConfig

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.size
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    # Noise takes pixels beyond −1 … 1, so they are stored as numbers.
                    "image": tfds.features.Tensor(
                        shape=(size, size, 1), dtype=np.float32
                    ),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://brohrer.github.io/how_convolutional_neural_networks_work.html",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in EXAMPLES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config
        # One random generator per size, strength and split.
        seed = (list(EXAMPLES).index(split), config.size, round(1000 * config.strength))
        examples = draw(
            np.random.default_rng(seed),
            EXAMPLES[split],
            size=config.size,
            strength=config.strength,
        )
        for i, (image, label) in enumerate(zip(*examples.values(), strict=True)):
            yield i, {"image": image, "label": int(label)}
