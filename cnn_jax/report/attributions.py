"""Figures of scores with a sign: blue below 0, red above 0, white at 0.

Scores stay in their own unit: the range of a map is written at its colour bar.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.report.figures import make_figure

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

COLOURS = "RdBu_r"
BACKGROUND = 0.55  # How much of an image's contrast is left under a map.


def signed_maps(
    maps: Sequence[np.ndarray],
    *,
    images: Sequence[np.ndarray | None] | None = None,
    titles: Sequence[str] = (),
    columns: int = 4,
    picture: bool = True,
) -> "matplotlib.figure.Figure":
    """Draws maps of scores in a diverging colour scale, alone or over images.

    The scale of each map is symmetric, so that white is 0. Its bar shows the smallest
    and the largest score. Over an image, the colour is the more opaque the larger the
    score.

    Args:
        maps: Scores, (height, width).
        images: Images behind them: grey (height, width) or RGB from 0 to 1; None for
            none.
        titles: One title per map, or none.
        columns: Maps per row.
        picture: Whether pixels are square and row 0 is on top; otherwise row 0 is at
            the bottom, as the lowest band of a spectrogram.

    Returns:
        The grid. The title of a map that is 0 everywhere says so.

    Raises:
        ValueError: If there are no maps, or more or fewer images than maps.
    """
    if not len(maps) or (images is not None and len(images) != len(maps)):
        behind = "none" if images is None else len(images)
        raise ValueError(
            f"`maps` has {len(maps)} entries and `images` {behind}, but each map needs "
            "one image, or none has one."
        )
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    ratio = max(m.shape[0] / m.shape[1] for m in maps) if picture else 0.5
    width = min(4.5, max(2.2, 9.0 / columns))
    height = rows * (0.8 * width * ratio + 0.45)
    figure, axes = make_figure(rows, columns, columns * width, height)
    for i, ax in enumerate(axes.flat):
        if i >= len(maps):
            ax.axis("off")
            continue
        behind = None if images is None else images[i]
        _signed_map(ax, np.asarray(maps[i]), behind, picture)
        title = titles[i] if titles else ""
        lines = [title] if title else []
        lines += [] if np.any(maps[i]) else ["zero everywhere"]
        ax.set_title("\n".join(lines), fontsize=8)
    return figure


def _signed_map(
    ax: "matplotlib.axes.Axes",
    scores: np.ndarray,
    image: np.ndarray | None,
    picture: bool,
) -> None:
    """One map with its colour bar."""
    limit = _limit(scores)
    how: dict[str, Any] = {"origin": "upper" if picture else "lower"}
    how |= {"aspect": "equal" if picture else "auto", "interpolation": "nearest"}
    alpha = None
    if image is not None:
        ax.imshow(_faded(np.asarray(image)), **how)
        alpha = np.sqrt(np.abs(scores) / limit)
    drawn = ax.imshow(scores, cmap=COLOURS, vmin=-limit, vmax=limit, alpha=alpha, **how)
    ax.set(xticks=[], yticks=[])
    _colour_bar(ax, drawn, scores, 0.05)


def _limit(scores: np.ndarray) -> float:
    """Half of the range of a symmetric colour scale."""
    return float(np.abs(scores).max()) or 1.0


def _colour_bar(
    ax: "matplotlib.axes.Axes", drawn: Any, scores: np.ndarray, width: float
) -> None:
    """A bar without transparency, with the smallest and the largest score."""
    from matplotlib.cm import ScalarMappable

    scale = ScalarMappable(norm=drawn.norm, cmap=drawn.cmap)
    bar = ax.figure.colorbar(scale, ax=ax, fraction=width, pad=0.02)
    low, high = float(scores.min()), float(scores.max())
    ends = [0.0] + [e for e in (low, high) if abs(e) > 0.1 * _limit(scores)]
    bar.set_ticks(ends, labels=[f"{end:.2g}".replace("-", "−") for end in ends])
    bar.ax.tick_params(labelsize=6)


def _faded(image: np.ndarray) -> np.ndarray:
    """An image in light grey, from 0 to 1."""
    grey = image.mean(axis=-1) if image.ndim == 3 else image
    low, high = float(grey.min()), float(grey.max())
    grey = (grey - low) / (high - low) if high > low else np.full(grey.shape, 0.5)
    light = 1 - BACKGROUND * (1 - grey)
    return np.repeat(light[..., None], 3, axis=-1)


def signed_signal(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    xlabel: str,
    step: float = 1.0,
) -> "matplotlib.figure.Figure":
    """Draws signals as lines over their scores as coloured bands.

    Args:
        panels: Title → (values, scores), both of one length.
        xlabel: Label of the x axis, with its unit.
        step: From one value to the next, in the unit of the x axis.

    Returns:
        One diagram per panel, with the range of its scores.
    """
    figure, axes = make_figure(len(panels), 1, 9.0, 1.9 * len(panels) + 0.4)
    for ax, (title, (values, scores)) in zip(axes[:, 0], panels.items(), strict=True):
        values, scores = np.asarray(values), np.asarray(scores)
        low, high = float(values.min()), float(values.max())
        room = 0.05 * (high - low) or 1.0
        drawn = ax.imshow(
            scores[None],
            cmap=COLOURS,
            vmin=-_limit(scores),
            vmax=_limit(scores),
            extent=[-0.5 * step, (len(values) - 0.5) * step, low - room, high + room],
            aspect="auto",
            interpolation="nearest",
        )
        ax.plot(np.arange(len(values)) * step, values, color="black", lw=0.7)
        _colour_bar(ax, drawn, scores, 0.03)
        zero = "" if np.any(scores) else " (zero everywhere)"
        ax.set_title(title + zero, fontsize=8)
        ax.tick_params(labelsize=7)
    axes[-1, 0].set_xlabel(xlabel, fontsize=8)
    return figure


def signed_bars(
    values: Mapping[str, float], *, xlabel: str
) -> "matplotlib.figure.Figure":
    """Draws a bar per name from 0: red above, blue below.

    Args:
        values: Name → score.
        xlabel: Label of the x axis.

    Returns:
        The bars, the first name on top.
    """
    from matplotlib import colormaps

    figure, ((ax,),) = make_figure(1, 1, 7.0, 0.7 + 0.2 * len(values))
    scores = np.array(list(values.values()), float)
    colours = colormaps[COLOURS](0.5 + 0.42 * np.sign(scores))
    ax.barh(range(len(scores)), scores, color=colours)
    ax.set_yticks(range(len(scores)), list(values), fontsize=7)
    ax.invert_yaxis()
    ax.set_xlim(-1.1 * _limit(scores), 1.1 * _limit(scores))
    ax.axvline(0, color="black", lw=0.8)
    ax.grid(axis="x", alpha=0.25)
    ax.tick_params(labelsize=7)
    ax.set_xlabel(xlabel, fontsize=8)
    return figure


def units(
    rows: Mapping[str, Sequence[np.ndarray]],
    *,
    titles: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
) -> "matplotlib.figure.Figure":
    """Draws a grid of units, each row with the images that belong to one unit.

    Args:
        rows: Name of the unit → its images: grey (height, width), RGB (height, width,
            3) from 0 to 1, or signals (samples,). Rows may differ in length.
        titles: Titles of the columns, or none.
        limits: The values of black and white; by default those of each image.

    Returns:
        The grid, with the names at the left.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("`rows` is empty, but a grid needs at least one unit.")
    columns = max(len(row) for row in rows.values())
    figure, axes = make_figure(
        len(rows), columns, 0.9 + 0.85 * columns, 0.85 * len(rows) + 0.3
    )
    low, high = limits or (None, None)
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        for i, ax in enumerate(line):
            ax.set(xticks=[], yticks=[], frame_on=False)
            if i >= len(row):
                continue
            if np.ndim(row[i]) == 1:
                ax.plot(row[i], color="black", lw=0.6)
            else:
                ax.imshow(row[i], cmap="gray", vmin=low, vmax=high)
        label: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center"}
        line[0].set_ylabel(name, fontsize=7, **label)
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(title, fontsize=7)
    return figure
