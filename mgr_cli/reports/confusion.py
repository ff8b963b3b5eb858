"""The confusion matrix as a picture: of the tracks of a genre, which share went where.

Rows are true genres and sum to one, columns are predicted genres. A cell without any
count is left empty, so that 0.00 always means "a few". The number of tracks (or segments)
behind a row stands at its right end, because a share of ten is worth less than a share of
a thousand.

The figure is made with matplotlib's objects, never with pyplot: no window, no current
figure, nothing to close.
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mgr_cli import metrics

_CELL = 0.5  # inches, where the limits below leave a choice
_SIDES = (3.5, 20.0)  # inches, smallest and largest matrix
_MARGIN = 0.1  # inches
_DPI = 150
_NAME = 28  # characters of a genre that are shown
_COLOURS = "Blues"  # one hue from light to dark: safe for the colour-blind and in print


def draw(counts: np.ndarray, genres: Sequence[str], *, title: str) -> Figure:
    """Draw a confusion matrix with the share of its row in each cell.

    Parameters
    ----------
    counts : np.ndarray [shape=(n_classes, n_classes)]
        Non-negative counts, rows are true classes.
    genres : sequence of str
        Names in class order.
    title : str
        What was evaluated, on what.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.

    Raises
    ------
    ValueError
        If the counts are not a square matrix of non-negative numbers, or the genres are
        not as many as its rows.
    """
    counts = np.asarray(counts)
    shares = metrics.row_normalised(counts)
    n_classes = len(genres)
    if shares.shape != (n_classes, n_classes):
        raise ValueError(f"counts has shape {shares.shape}, expected one row for each of {genres}")
    side = float(np.clip(n_classes * _CELL, *_SIDES))
    # Type shrinks with the cells only where there are too many of them for its full size.
    points = min(1.0, side / n_classes / _CELL) * 10
    names = [_shortened(genre) for genre in genres]
    room = max(map(len, names)) * points / 72 * 0.6  # a letter is about 0.6 of its height wide
    figure = Figure((side + room + 1.0, side + 0.75 * room + 1.0), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=_MARGIN, h_pad=_MARGIN)
    axes = figure.subplots()
    axes.imshow(shares, cmap=_COLOURS, vmin=0, vmax=1)
    axes.set_title(title, fontsize=12, parse_math=False, wrap=True)
    _label(axes, names, counts.sum(axis=1), points)
    _write(axes, counts, shares, points)
    return figure


def _label(axes: Axes, names: list[str], totals: np.ndarray, points: float) -> None:
    """Name the rows and the columns, and count the rows at their right end."""
    places = range(len(names))
    axes.set_xticks(
        places, names, fontsize=points, parse_math=False,
        rotation=45, ha="right", rotation_mode="anchor",
    )  # fmt: skip
    axes.set_yticks(places, names, fontsize=points, parse_math=False)
    axes.set_xlabel("predicted", fontsize=11)
    axes.set_ylabel("true", fontsize=11)
    right = axes.secondary_yaxis("right")
    right.set_yticks(places, [f"{total:,}" for total in totals], fontsize=points)
    axes.annotate(
        "n", (1, 1), (5, 5), xycoords="axes fraction", textcoords="offset points", fontsize=points
    )
    for each in (axes, right):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)


def _write(axes: Axes, counts: np.ndarray, shares: np.ndarray, points: float) -> None:
    """Write its share into each cell that has a count, dark on light or light on dark."""
    colours = mpl.colormaps[_COLOURS](shares)
    luminance = colours[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    for row, column in np.argwhere(counts > 0):
        ink = "black" if luminance[row, column] > 0.5 else "white"
        text = f"{shares[row, column]:.2f}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=points)


def _shortened(genre: str) -> str:
    return genre if len(genre) <= _NAME else genre[: _NAME - 1] + "…"
