"""Figures and players: waveform to spectrogram, recordings, gradients, confusions."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import nn, report
from cnn_jax.training.run_report import show_errors
from experiments._shared import compiled
from experiments.audio.recordings import NOISE_LEVELS, OTHER, Recordings

COLUMNS = 5  # Of the grid of spectrograms and gradients.


def from_waveform_to_image(
    page: report.Page, front_end: nn.Chain, recordings: Recordings
) -> None:
    """Shows how one waveform becomes a spectrogram: chunks, bands, columns."""
    page.section("From a waveform to an image")
    stage: Any = front_end.stages["spectrogram"]
    waveform, rate = recordings.waveforms[0], recordings.rate
    spectrogram = np.asarray(compiled(stage)(waveform))[..., 0]
    bands, chunks = spectrogram.shape
    page.text(
        f"{len(waveform):,} samples are {len(waveform) / rate:.2f} s. They are cut "
        f"into {chunks} chunks of {stage.n_fft} samples "
        f"({1000 * stage.n_fft / rate:.0f} ms), one every {stage.hop_length} samples. "
        f"Each chunk is split into "
        f"{1 + stage.n_fft // 2} frequencies, which are summed in {bands} bands of the "
        "mel scale, the frequency resolution of the ear. The level of a band in "
        "decibels is one pixel. A column per chunk and a row per band make an image."
    )
    loudest = int(spectrogram.max(axis=0).argmax())
    _one_chunk(page, stage, waveform, rate, loudest)
    _one_column(page, spectrogram, loudest)
    _column_by_column(page, spectrogram)


def _one_chunk(
    page: report.Page, stage: Any, waveform: np.ndarray, rate: int, chunk: int
) -> None:
    samples = np.arange(len(waveform))
    inside = np.abs(samples - chunk * stage.hop_length) <= stage.n_fft // 2
    no_band = np.zeros(len(waveform))
    lines = {
        "recording": (samples / rate, waveform, no_band),
        f"chunk {chunk + 1}": (
            samples[inside] / rate,
            waveform[inside],
            no_band[inside],
        ),
    }
    figure = report.curves({"cut into chunks": lines}, x="seconds", y="pressure")
    page.figure(figure, "A recording, and one of its chunks.")


def _one_column(page: report.Page, spectrogram: np.ndarray, chunk: int) -> None:
    bands = len(spectrogram)
    column = (np.arange(1, bands + 1), spectrogram[:, chunk], np.zeros(bands))
    lines = {f"chunk {chunk + 1}": column}
    figure = report.curves({"split into bands": lines}, x="band", y="decibels")
    page.figure(figure, "The same chunk, band by band: a column of the image.")


def _column_by_column(page: report.Page, spectrogram: np.ndarray) -> None:
    chunks = spectrogram.shape[1]
    ends = [chunks * part // 5 for part in range(1, 6)]
    partial_images = [
        np.where(np.arange(chunks) < end, spectrogram, spectrogram.min())
        for end in ends
    ]
    figure = report.images(
        [image[::-1] for image in partial_images],
        titles=[f"{end} columns" for end in ends],
        columns=len(ends),
    )
    page.figure(figure, "Column by column, with the low bands at the bottom.")


def listen(
    page: report.Page,
    splits: dict[str, Recordings],
    tests: dict[str, Recordings],
    classes: Sequence[str],
) -> None:
    """Adds players: each word of each split, and one recording at each noise level."""
    page.section("Listen")
    names = {"train": "training", "test": "test", OTHER: OTHER}
    for label, word in enumerate(classes[:10]):
        clips = {
            f"{word}, {names[name]}": split.waveforms[np.argmax(split.labels == label)]
            for name, split in splits.items()
            if label in split.labels
        }
        page.audio(clips, rate=splits["train"].rate)
    clips = {
        f"{classes[tests[name].labels[0]]}, {name}": tests[name].waveforms[0]
        for name in NOISE_LEVELS
    }
    page.audio(clips, rate=splits["train"].rate)
    page.text("The last row is one test recording at every noise level.")


def gradients(
    page: report.Page,
    nets: list[nn.Chain],
    recordings: Recordings,
    classes: Sequence[str],
) -> None:
    """Shows the spectrogram of each word, and the gradient of its logit."""
    page.section("Where the evidence is")
    names, rows = nn.summary(nets[0], recordings.waveforms.shape[1:]).table()
    page.table(names[:4], [row[:4] for row in rows])
    labels = np.unique(recordings.labels)[:10]
    firsts = [np.argmax(recordings.labels == label) for label in labels]
    spectrograms = compiled(lambda x: nets[0].run(x, upto="spectrogram"))(
        recordings.waveforms[firsts]
    )
    magnitude = _mean_gradient(nets, spectrograms, jnp.asarray(labels))
    rows = list(zip(_upright(spectrograms), _upright(magnitude), strict=True))
    images, titles = _grid(rows, [classes[int(label)] for label in labels])
    page.figure(
        report.images(images, titles=titles, columns=COLUMNS),
        "Above: a test recording. Below: the magnitude of the gradient of its logit "
        "with respect to each position of the spectrogram, a mean over the networks.",
    )


def _mean_gradient(
    nets: list[nn.Chain], spectrograms: jax.Array, labels: jax.Array
) -> np.ndarray:
    """Mean over networks of |∂ logit of the label / ∂ spectrogram|."""

    def logit(net: nn.Chain, spectrogram: jax.Array, label: jax.Array) -> jax.Array:
        return net.run(spectrogram, after="spectrogram")[label]

    each = [
        compiled(jax.vmap(jax.grad(partial(logit, net))))(spectrograms, labels)
        for net in nets
    ]
    return np.mean(np.abs(each), axis=0)


def _upright(maps: Any) -> np.ndarray:
    """Maps of one channel with the low bands at the bottom."""
    return np.asarray(maps)[:, ::-1, :, 0]


def _grid(
    rows: list[tuple[np.ndarray, np.ndarray]], words: list[str]
) -> tuple[list[np.ndarray | None], list[str]]:
    """Images and titles: rows of spectrograms, each with its gradients below."""
    images, titles = [], []
    for first in range(0, len(rows), COLUMNS):
        part = rows[first : first + COLUMNS]
        gap = [None] * (COLUMNS - len(part))
        above, below = zip(*part, strict=True)
        images += [*above, *gap, *below, *gap]
        names = words[first : first + len(part)]
        titles += [*names, *[""] * (2 * COLUMNS - len(part))]
    return images, titles


def confusions(
    page: report.Page,
    logits: dict[str, list[np.ndarray]],
    recordings: dict[str, Recordings],
    classes: Sequence[str],
) -> None:
    """Adds the confusion matrix over all seeds: clean, and with the other engine."""
    for name in [name for name in ("clean", OTHER) if name in logits]:
        page.section(f"Confusions: {name}")
        split, seeds = recordings[name], len(logits[name])
        waveforms = np.concatenate([split.waveforms] * seeds)
        labels = np.tile(split.labels, seeds)
        show_errors(page, waveforms, np.concatenate(logits[name]), labels, classes)
