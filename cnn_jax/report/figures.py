"""Figures: arrays in, a matplotlib figure out. Nothing is shown or saved here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Numbers = Sequence | np.ndarray
Line = tuple[Numbers, Numbers, Numbers]


def _figure(
    rows: int, columns: int, width: float, height: float, *, share: bool = False
) -> "tuple[matplotlib.figure.Figure, Any]":
    # Figures of their own, not pyplot's, so that none outlives its reader.
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
    """Small arrays as boards of numbered squares, side by side: −1 dark, 1 light.

    Args:
        panels: A title for each board, of shape (rows, columns).
        digits: After the decimal point, for what is not whole.
        framed: Squares to frame: (which board, row, column).

    Returns:
        One row of boards whose squares are all of one size.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shapes = [board.shape for board in panels.values()]
    width = sum(columns for _, columns in shapes) * 0.42 + 0.4 * len(shapes)
    height = max(rows for rows, _ in shapes) * 0.42 + 0.6
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    ratios = {"width_ratios": [columns for _, columns in shapes]}
    axes = figure.subplots(1, len(shapes), squeeze=False, gridspec_kw=ratios)[0]
    for i, (ax, (title, board)) in enumerate(zip(axes, panels.items(), strict=True)):
        ax.imshow(board, cmap="gray", vmin=-1.6, vmax=1.6)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
        for (row, column), value in np.ndenumerate(board):
            text = f"{value:.{0 if value == round(value) else digits}f}".replace(
                "-", "−"
            )
            color = "white" if value < 0 else "black"
            ax.text(
                column, row, text, ha="center", va="center", fontsize=7, color=color
            )
        for which, row, column in framed:
            if which == i:
                corner = (column - 0.5, row - 0.5)
                ax.add_patch(Rectangle(corner, 1, 1, fill=False, ec="tab:orange", lw=2))
    return figure


def images(
    images: Sequence[np.ndarray | None],
    *,
    titles: Sequence[str] = (),
    columns: int = 8,
    limits: tuple[float, float] | None = None,
) -> "matplotlib.figure.Figure":
    """Images in a grid; grey ones of shape (height, width), colour (…, 3).

    Args:
        images: What to show; None leaves its panel empty.
        titles: One for each, or none.
        columns: Images in a row.
        limits: The values of black and white; each picture's own extremes by default.

    Returns:
        The grid.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tall = max(im.shape[0] / im.shape[1] for im in images if im is not None)
    size = max(0.9, 7.5 / columns)
    height = rows * (size * tall + (0.35 if titles else 0.1))
    figure, axes = _figure(rows, columns, columns * size, height)
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
    """Lines with bands of spread, one small diagram per panel and shared axes.

    Args:
        panels: Title → name of the line → (x, means, deviations).
        x: What lies on the x axis, with its unit.
        y: What lies on the y axis, with its unit.
        columns: Diagrams in a row.
        log_x: Whether the x axis is logarithmic.
        log_y: Whether the y axis is logarithmic.

    Returns:
        The diagrams, with one legend.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width = max(5.0, 2.4 * columns)
    height = max(3.2, 2.1 * rows)
    figure, axes = _figure(rows, columns, width, height, share=True)
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
    """Ratios as bars from 1 on a logarithmic axis, grouped by label.

    Args:
        labels: Of the groups, from the top.
        values: One series per name, as long as `labels`.
        xlabel: Under the axis.

    Returns:
        A figure.

    Raises:
        ValueError: If a series is not as long as `labels`.
    """
    for name, series in values.items():
        if len(series) != len(labels):
            raise ValueError(
                f"`values[{name!r}]` has {len(series)} values, but there are "
                f"{len(labels)} labels."
            )
    height = 0.8 + 0.2 * len(labels) * (len(values) + 1)
    figure, ((ax,),) = _figure(1, 1, 7, height)
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
    """Every value as a dot, a row for each label, and a stroke at each mean.

    Args:
        rows: Label → name of the series → its values; a series has the same colour in
            every row.
        xlabel: Under the axis.

    Returns:
        A figure.
    """
    names = list(dict.fromkeys(name for series in rows.values() for name in series))
    height = 1.0 + 0.22 * len(rows) * (len(names) + 1)
    figure, ((ax,),) = _figure(1, 1, 7.0, height)
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
    """How often each class (rows) was taken for each (columns).

    Args:
        counts: Of shape (classes, classes).
        classes: Their names.

    Returns:
        The matrix with its numbers; mistakes are the darker, the more there are.
    """
    side = max(3.0, 0.42 * len(classes) + 0.8)
    figure, axes = _figure(1, 1, side, side)
    ax = axes[0, 0]
    mistakes = counts * (1 - np.eye(len(classes)))
    ax.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(mistakes.max(), 1) * 1.5)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ax.text(column, row, f"{count:g}", ha="center", va="center", fontsize=7)
    ax.set(xticks=range(len(classes)), yticks=range(len(classes)))
    ax.set_xticklabels(classes, fontsize=7)
    ax.set_yticklabels(classes, fontsize=7)
    ax.set_xlabel("predicted", fontsize=9)
    ax.set_ylabel("true", fontsize=9)
    return figure
