"""Prediction on photographs in files, beside a plain loop that only reads them."""

import resource
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
from flax import nnx
from PIL import Image

from cnn_jax import models, report, trained
from cnn_jax.data.readers import ImageReader, to_fields
from experiments.speed.config import Config
from experiments.speed.timing import Times, seconds_per_call, take_turns

TIMED = 500  # Files per timing.


def files(config: Config, page: report.Page) -> dict[str, Times]:
    """Times `predict` of a ResNet-20 on JPEG files, and measures its memory."""
    page.section("Prediction on files")
    count, model = 500 if config.quick else 5000, _model()
    with tempfile.TemporaryDirectory() as folder:
        paths = _photographs(Path(folder), count)
        first = paths[:TIMED]
        calls = {
            "predict": lambda: list(model.predict(first)),
            "Pillow": lambda: [_read(path) for path in first],
        }
        times = take_turns(calls, config.rounds)
        before = _peak_megabytes()
        seconds = seconds_per_call(lambda: deque(model.predict(paths), maxlen=0), 1)
        growth = _peak_megabytes() - before
    rates = {name: len(first) / np.median(times[name]) for name in calls}
    page.text(
        f"A ResNet-20 at 32 × 32 pixels reads and classifies {rates['predict']:,.0f} "
        "photographs of 480 × 360 pixels per second; a plain loop over Pillow reads "
        f"{rates['Pillow']:,.0f} per second, without a prediction. {count:,} files "
        f"took {seconds:.1f} s, and the peak memory rose by {growth:.1f} MB after the "
        f"first {len(first)}."
    )
    return {"500 files": times}


def _model() -> trained.Trained:
    """A ResNet-20 with random weights for images of 32 × 32 pixels."""
    reader, classes = ImageReader((32, 32), 3), tuple("0123456789")
    net = models.build("resnet20", classes=10, rngs=nnx.Rngs(0))
    about = trained.Metadata("", "resnet20", {}, classes, to_fields(reader))
    return trained.Trained(Path(), about, net, reader)


def _photographs(folder: Path, count: int) -> list[Path]:
    """Writes JPEG files of smooth random colours."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8))
        coarse.resize((480, 360)).save(folder / f"{i:05}.jpg", quality=90)
    return sorted(folder.iterdir())


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((32, 32)))


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
