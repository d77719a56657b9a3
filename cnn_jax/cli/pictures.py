"""Drawings of inputs of every kind with their scores: images, audio, rows of tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import Array

from cnn_jax import report

MAX_COLUMNS, MAX_EXAMPLES = 20, 5  # Columns and rows of a table that are drawn.
NAMES = {"rows": ("top", "middle", "bottom"), "columns": ("left", "centre", "right")}
BANDS = {"rows": ("low", "medium", "high"), "columns": ("first", "second", "last")}


def displayed(image: np.ndarray) -> np.ndarray:
    """An image from −1 to 1 as it is drawn: grey, or RGB from 0 to 1.

    Args:
        image: (height, width, channels).
    """
    if image.shape[-1] == 3:
        return np.clip((image + 1) / 2, 0, 1)
    return image.mean(axis=-1)


def show_input(page: report.Page, reader: Any, x: np.ndarray, picture: Array) -> None:
    """Adds the input itself.

    Args:
        page: The page.
        reader: Of the run.
        x: One input, as the network reads it.
        picture: What the stages with parameters read.
    """
    if reader.kind == "image":
        limits = (-1.0, 1.0) if x.shape[-1] == 1 else None
        page.figure(
            report.images([displayed(x), None, None], columns=3, limits=limits),
            "The image as the network reads it.",
        )
    elif reader.kind == "signal":
        page.audio({"the sound": x}, rate=reader.rate)


def draw_scores(
    page: report.Page, reader: Any, x: np.ndarray, picture: Array, scores: np.ndarray
) -> None:
    """Adds the scores of an input, over it where it is a picture.

    Args:
        page: The page.
        reader: Of the run.
        x: One input, as the network reads it.
        picture: What the stages with parameters read.
        scores: For every position of the picture.
    """
    if scores.ndim == 2:
        image = displayed(np.asarray(picture))
        figure = report.signed_maps(
            [scores, scores],
            images=[image, None],
            titles=["over the input", "alone"],
            columns=2,
            picture=reader.kind == "image",
        )
        what = "image" if reader.kind == "image" else "spectrogram, low bands below"
        page.figure(figure, f"Scores over the {what}.")
        return
    names = reader.names if reader.kind == "table" else map(str, range(len(scores)))
    named = dict(zip(names, scores, strict=True))
    order = sorted(named, key=lambda name: -abs(named[name]))[:MAX_COLUMNS]
    bars = {f"{n} = {_value(reader, x, n)}": float(named[n]) for n in order}
    more = len(named) - len(order)
    rest = f", {more} smaller ones are left out" if more else ""
    figure = report.signed_bars(bars, xlabel="score")
    page.figure(figure, f"Scores of the columns{rest}.")


def _value(reader: Any, x: np.ndarray, name: str) -> str:
    """The value of a column in its own unit."""
    i = reader.names.index(name)
    return f"{x[i] * reader.deviations[i] + reader.means[i]:.6g}"


def mass_table(page: report.Page, reader: Any, scores: np.ndarray) -> None:
    """Adds which share of the mass, Σ |score|, lies in which ninth of a picture.

    Args:
        page: The page.
        reader: Of the run.
        scores: For every position.
    """
    mass = np.abs(scores)
    if not mass.sum() or scores.ndim != 2:
        return
    names = NAMES if reader.kind == "image" else BANDS
    parts = [np.array_split(rows, 3, axis=1) for rows in np.array_split(mass, 3)]
    rows = [
        [name, *(f"{100 * part.sum() / mass.sum():.1f}" for part in line)]
        for name, line in zip(names["rows"], parts, strict=True)
    ]
    rows = rows if reader.kind == "image" else rows[::-1]
    first = (
        "% of the mass" if reader.kind == "image" else "% of the mass; third of time"
    )
    page.table([first, *names["columns"]], rows)


def draw_units(
    page: report.Page,
    explainer: Any,
    rows: dict[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    caption: str,
) -> None:
    """Adds examples as images, sounds or rows of a table.

    Args:
        page: The page.
        explainer: With the reader of the run.
        rows: Name of the unit → inputs or parts of them.
        titles: One for each column.
        caption: Of the figure.
    """
    reader = explainer.trained.reader
    if reader.kind == "image":
        drawn = {n: [displayed(x) for x in row] for n, row in rows.items()}
        grey = next(iter(rows.values()))[0].shape[-1] == 1
        limits = (-1.0, 1.0) if grey else None
        page.figure(report.units(drawn, titles=titles, limits=limits), caption)
    elif reader.kind == "signal":
        page.figure(report.units(rows, titles=titles), caption)
        clips = [clip for row in rows.values() for clip in row]
        names = [f"{i}: {t}".replace("\n", ", ") for i, t in enumerate(titles, 1)]
        page.audio(dict(zip(names, clips, strict=True)), rate=reader.rate)
    else:
        _table(page, reader, [x for row in rows.values() for x in row], titles, caption)


def _table(
    page: report.Page,
    reader: Any,
    rows: Sequence[np.ndarray],
    titles: Sequence[str],
    caption: str,
) -> None:
    """Adds rows of a table side by side, in their own units."""
    rows, names = rows[:MAX_EXAMPLES], reader.names[:MAX_COLUMNS]
    cells = [[name, *(_value(reader, x, name) for x in rows)] for name in names]
    header = ["", *(title.replace("\n", ", ") for title in titles[: len(rows)])]
    page.table(header, cells, caption=caption)
