"""The handwritten digits of scikit-learn as a TensorFlow Datasets builder."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cnn_jax.data.builders import VERSIONS


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """1,797 real handwritten digits of 8 × 8 pixels, which need no download."""

    name = "digits"
    VERSION = tfds.core.Version(VERSIONS["digits"])
    RELEASE_NOTES: dict[str, str] = {"1.0.0": "First release."}  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(8, 8, 1), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits: Any = load_digits()
        parts = train_test_split(
            np.arange(len(digits.target)),
            test_size=0.25,
            stratify=digits.target,
            random_state=0,
        )
        for i in np.sort(parts[split == "test"]):
            image = _png(digits.images[i])
            yield int(i), {"image": image, "label": int(digits.target[i])}


def _png(counts: np.ndarray) -> bytes:
    """The counts 0 … 16 as grey values 0 … 255, no two of them the same."""
    # Bytes, for TFDS would import TensorFlow to encode an array.
    picture, file = (
        Image.fromarray(np.rint(counts * 255 / 16).astype(np.uint8)),
        io.BytesIO(),
    )
    picture.save(file, format="png")
    return file.getvalue()
