"""Matplotlib figures from arrays. Nothing is shown or saved here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Numbers = Sequence | np.ndarray
Line = tuple[Numbers, Numbers, Numbers]  # x values, means, half widths of the band.


def make_figure(
    rows: int, columns: int, width: float, height: float, *, share: bool = False
) -> "tuple[matplotlib.figure.Figure, Any]":
    """A figure with a grid of diagrams.

    Args:
        rows: Diagrams from top to bottom.
        columns: Diagrams from left to right.
        width: Of the figure, in inches.
        height: Of the figure, in inches.
        share: Whether all diagrams have the same axes.

    Returns:
        The figure, and its diagrams in rows.
    """
    # Not made by pyplot, which would keep a reference to every figure.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    return figure, axes


def numbers(
    panels: Mapping[str, np.ndarray],
    *,
    digits: int = 2,
    framed: Sequence[tuple[int, int, int]] = (),
) -> "matplotlib.figure.Figure":
    """Draws small arrays as boards of numbered squares; −1 is dark, 1 is light.

    Args:
        panels: Title → board of shape (rows, columns).
        digits: Digits after the decimal point of numbers that are not whole.
        framed: Squares to frame: (index of the board, row, column).

    Returns:
        One row of boards; all squares have the same size.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shapes = [board.shape for board in panels.values()]
    width = sum(columns for _, columns in shapes) * 0.42 + 0.4 * len(shapes)
    height = max(rows for rows, _ in shapes) * 0.42 + 0.6
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    ratios = {"width_ratios": [columns for _, columns in shapes]}
    axes = figure.subplots(1, len(shapes), squeeze=False, gridspec_kw=ratios)[0]
    for ax, (title, board) in zip(axes, panels.items(), strict=True):
        ax.set_title(title, fontsize=9)
        _board(ax, board, digits)
    for index, row, column in framed:
        corner = (column - 0.5, row - 0.5)
        frame = Rectangle(corner, 1, 1, fill=False, ec="tab:orange", lw=2)
        axes[index].add_patch(frame)
    return figure


def _board(ax: "matplotlib.axes.Axes", board: np.ndarray, digits: int) -> None:
    ax.imshow(board, cmap="gray", vmin=-1.6, vmax=1.6)
    ax.set(xticks=[], yticks=[])
    center: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
    for (row, column), value in np.ndenumerate(board):
        text = f"{value:.{0 if value == round(value) else digits}f}".replace("-", "−")
        color = "white" if value < 0 else "black"
        ax.text(column, row, text, color=color, **center)


def images(
    images: Sequence[np.ndarray | None],
    *,
    titles: Sequence[str] = (),
    columns: int = 8,
    limits: tuple[float, float] | None = None,
) -> "matplotlib.figure.Figure":
    """Draws images in a grid.

    Args:
        images: Grey images (height, width) or colour images (height, width, 3); None
            leaves a cell empty.
        titles: One title per image, or none.
        columns: Images per row.
        limits: The values of black and white; by default the minimum and maximum of
            each image.

    Returns:
        The grid.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tall = max(im.shape[0] / im.shape[1] for im in images if im is not None)
    size = max(0.9, 7.5 / columns)
    lines = max((1 + title.count("\n") for title in titles), default=0)
    height = rows * (size * tall + 0.1 + 0.25 * lines)
    figure, axes = make_figure(rows, columns, columns * size, height)
    low, high = limits or (None, None)
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(images) and images[i] is not None:
            ax.imshow(images[i], cmap="gray", vmin=low, vmax=high)
            if titles:
                ax.set_title(titles[i], fontsize=8)
    return figure


def curves(
    panels: Mapping[str, Mapping[str, Line]],
    *,
    x: str,
    y: str,
    columns: int = 4,
    log_x: bool = False,
    log_y: bool = False,
) -> "matplotlib.figure.Figure":
    """Draws lines with bands, one small diagram per panel, with shared axes.

    Args:
        panels: Title → name of the line → (x values, means, standard deviations).
        x: Label of the x axis, with its unit.
        y: Label of the y axis, with its unit.
        columns: Diagrams per row.
        log_x: Whether the x axis is logarithmic.
        log_y: Whether the y axis is logarithmic.

    Returns:
        The diagrams, with one legend.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width = max(5.0, 2.4 * columns)
    height = max(3.2, 2.1 * rows)
    figure, axes = make_figure(rows, columns, width, height, share=True)
    for ax, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        _lines(ax, lines)
        ax.set_title(title, fontsize=9)
        ax.set(xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    first = axes.flat[0]
    if axes.size > len(panels):
        handles, labels = first.get_legend_handles_labels()
        axes.flat[-1].legend(handles, labels, loc="center", frameon=False, fontsize=8)
    else:
        first.legend(frameon=False, fontsize=8)
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    return figure


def _lines(ax: "matplotlib.axes.Axes", lines: Mapping[str, Line]) -> None:
    for (name, (x, means, deviations)), mark in zip(
        lines.items(), "os^Dv", strict=False
    ):
        marker = mark if len(x) < 30 else None
        ax.plot(x, means, marker=marker, ms=3, lw=1.2, label=name)
        low, high = np.subtract(means, deviations), np.add(means, deviations)
        ax.fill_between(x, low, high, alpha=0.2, lw=0)
    ax.grid(alpha=0.25)
    ax.tick_params(labelsize=7)


def bars(
    labels: Sequence[str], values: Mapping[str, Sequence[float]], *, xlabel: str
) -> "matplotlib.figure.Figure":
    """Draws ratios as bars from 1 on a logarithmic axis, grouped by label.

    Args:
        labels: Labels of the groups, from the top.
        values: Name → series with one ratio per label.
        xlabel: Label of the x axis.

    Returns:
        The bars, with a legend.

    Raises:
        ValueError: If the length of a series differs from that of `labels`.
    """
    for name, series in values.items():
        if len(series) != len(labels):
            raise ValueError(
                f"`values[{name!r}]` has {len(series)} values, but `labels` has "
                f"{len(labels)}: give one value per label."
            )
    height = 0.8 + 0.2 * len(labels) * (len(values) + 1)
    figure, ((ax,),) = make_figure(1, 1, 7, height)
    width = 1 / (len(values) + 1)
    for i, (name, series) in enumerate(values.items()):
        length = np.asarray(series) - 1
        ax.barh(np.arange(len(labels)) + i * width, length, width, left=1, label=name)
    ax.set_yticks(np.arange(len(labels)) + (len(values) - 1) * width / 2, labels)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xlabel(xlabel)
    ax.legend(fontsize="small")
    return figure


def dots(
    rows: Mapping[str, Mapping[str, Sequence[float] | np.ndarray]], *, xlabel: str
) -> "matplotlib.figure.Figure":
    """Draws every value as a dot, in one row per label, and each mean as a stroke.

    Args:
        rows: Label → name of the series → values. A series has the same colour in every
            row.
        xlabel: Label of the x axis.

    Returns:
        The dots, with a legend.
    """
    names = list(dict.fromkeys(name for series in rows.values() for name in series))
    height = 1.0 + 0.22 * len(rows) * (len(names) + 1)
    figure, ((ax,),) = make_figure(1, 1, 7.0, height)
    for row, series in enumerate(rows.values()):
        for name, values in series.items():
            i = names.index(name)
            y = row + (i + 1) / (len(names) + 1) - 0.5
            ax.plot(
                values, np.full(len(values), y), "o", color=f"C{i}", ms=3, alpha=0.4
            )
            ax.plot(np.mean(values), y, "|", color=f"C{i}", ms=13, mew=2.5)
    for i, name in enumerate(names):
        ax.plot([], [], "o", color=f"C{i}", label=name)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for row in range(1, len(rows)):
        ax.axhline(row - 0.5, color="lightgrey", lw=0.8)
    ax.grid(axis="x", alpha=0.25)
    ax.tick_params(labelsize=8)
    ax.set_xlabel(xlabel, fontsize=9)
    ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def confusion(counts: np.ndarray, classes: Sequence[str]) -> "matplotlib.figure.Figure":
    """Draws a confusion matrix: true classes in rows, predicted classes in columns.

    Args:
        counts: Number of examples, of shape (classes, classes).
        classes: Class names.

    Returns:
        The matrix with its numbers; the more errors in a cell, the darker it is.
    """
    side = max(3.0, 0.42 * len(classes) + 0.8)
    figure, axes = make_figure(1, 1, side, side)
    ax = axes[0, 0]
    errors = counts * (1 - np.eye(len(classes)))
    ax.imshow(errors, cmap="Oranges", vmin=0, vmax=max(errors.max(), 1) * 1.5)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ax.text(column, row, f"{count:g}", ha="center", va="center", fontsize=7)
    ax.set(xticks=range(len(classes)), yticks=range(len(classes)))
    ax.set_xticklabels(classes, fontsize=7)
    ax.set_yticklabels(classes, fontsize=7)
    ax.set_xlabel("predicted", fontsize=9)
    ax.set_ylabel("true", fontsize=9)
    return figure


def calibration(
    true: np.ndarray, predicted: np.ndarray, *, label: str
) -> "matplotlib.figure.Figure":
    """Draws predicted against true quantities, and the line where both agree.

    Args:
        true: Quantities.
        predicted: Predictions, as many.
        label: The name of the quantity, with its unit.

    Returns:
        One dot per example.
    """
    figure, ((ax,),) = make_figure(1, 1, 4.5, 4.5)
    ends = [
        min(np.min(true), np.min(predicted)),
        max(np.max(true), np.max(predicted)),
    ]
    ax.plot(ends, ends, color="black", lw=1)
    ax.plot(true, predicted, "o", ms=3, alpha=0.4, rasterized=True)
    ax.set_aspect("equal")
    ax.grid(alpha=0.25)
    ax.tick_params(labelsize=7)
    ax.set_xlabel(f"true {label}", fontsize=9)
    ax.set_ylabel(f"predicted {label}", fontsize=9)
    return figure
